"""The page of the engines names every engine and every parameter with its default."""

import re
from pathlib import Path

import pytest

from recommender.engines import ENGINES

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def section(name):
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/engines.md has no section {name}"
    return found[1]


@pytest.mark.parametrize("name", ENGINES)
def test_every_parameter_is_told_with_its_default(name):
    told = dict(re.findall(r"^\| `(\w+)`\s*\| (\S+)\s*\|", section(name), re.MULTILINE))
    assert told == {parameter: str(default) for parameter, default in ENGINES[name].defaults.items()}


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_its_name_in_the_band(name):
    assert f"*{ENGINES[name].title}" in section(name)


def test_the_hybrid_has_its_section():
    assert section("hybrid").strip()
