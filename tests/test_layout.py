"""The house itself: settings and their example agree, migrations are complete, nothing is open by accident."""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import call_command

ROOT = settings.BASE_DIR


def test_every_variable_the_settings_read_is_in_the_example():
    source = (ROOT / "quasimusic" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    example = set(re.findall(r"^#?\s?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read == example


@pytest.mark.django_db
def test_models_and_migrations_agree():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_system_checks_are_silent():
    call_command("check", fail_level="WARNING")


def test_a_setting_that_has_few_values_takes_no_other():
    command = [sys.executable, "manage.py", "check"]
    wrong = os.environ | {"WEIGHTS_STRATEGY": "acuracy"}
    done = subprocess.run(command, cwd=ROOT, env=wrong, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "acuracy" in done.stderr
    assert "uniform" in done.stderr
