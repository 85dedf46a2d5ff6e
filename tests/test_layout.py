"""The house itself: settings and their example agree, migrations are complete, nothing is open by accident."""

import os
import re
import shutil
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


def test_the_readme_names_every_command_and_only_settings_there_are():
    readme = (ROOT / "README.md").read_text()
    commands = {path.stem for path in ROOT.glob("*/management/commands/[a-z]*.py")} - {"prepare"}  # make run's own
    assert {name for name in commands if f"manage.py {name}" not in readme} == set()
    table = readme.split("## Configuration")[1].split("## ")[0]
    named = set(re.findall(r"`([A-Z_]{4,})`", table))
    example = set(re.findall(r"^#?\s?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named <= example


def test_every_picture_and_page_the_documents_link_to_is_there():
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = [(doc, link) for doc in documents for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", doc.read_text())]
    assert links
    assert [f"{doc.name}: {link}" for doc, link in links if not (doc.parent / link).exists()] == []


def test_neither_web_nor_worker_loads_the_optimiser_what_draws_or_the_cluster():
    code = (
        "import sys, django; django.setup(); import recommender.tasks, quasimusic.urls, recommender.admin; "
        "print({'skopt', 'matplotlib', 'distributed'} & set(sys.modules))"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "quasimusic.settings"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_the_engines_load_where_neither_their_folder_nor_a_home_can_be_written_to(tmp_path):
    house = tmp_path / "house"
    for package in ("quasimusic", "accounts", "catalog", "listening", "recommender"):
        shutil.copytree(ROOT / package, house / package, ignore=shutil.ignore_patterns("__pycache__"))
    engines = house / "recommender" / "engines"
    for folder in (engines, engines / "weighted_mf"):
        (folder / "__pycache__").touch()  # a file in its place keeps out even root, whom no permission does
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | {
        "DJANGO_SETTINGS_MODULE": "quasimusic.settings",
        "DATA_DIR": str(tmp_path / "data"),
        "HOME": "/dev/null",
        "XDG_CACHE_HOME": "/dev/null",
    }
    code = "import django; django.setup(); from recommender.engines import ENGINES; print(len(ENGINES))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "5", done.stderr
    assert any((tmp_path / "data" / "kernels").iterdir())
