"""Files the pages are dressed with: our own, from here, and all of them there."""

import re

import pytest
from django.conf import settings

STATIC = settings.BASE_DIR / "static"
NO_WORDS = {"Quasi", "music", "Quasimusic", "shell", "open"}  # the name, and a class that a block holds
TEMPLATES = settings.BASE_DIR / "templates"


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.*")), ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path):
    addresses = re.findall(r"""(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s"')]*""", path.read_text())
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_every_icon_a_template_names_is_drawn():
    source = "".join(path.read_text() for path in TEMPLATES.rglob("*.html"))
    named = set(re.findall(r'{% icon "([\w-]+)" %}', source)) | set(re.findall(r' mark="([\w-]+)"', source))
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))
    assert named == drawn


def _bare_words(source: str) -> set[str]:
    """Words of a template that stand outside of tags and of what can be translated."""
    for tag in ("comment", "blocktranslate"):
        source = re.sub(rf"{{% {tag}.*?{{% end{tag} %}}", "", source, flags=re.DOTALL)
    source = re.sub(r"{%.*?%}|{{.*?}}", "", source, flags=re.DOTALL)
    source = re.sub(r"""<(?:"[^"]*"|'[^']*'|[^<>"'])*>""", " ", source)
    return set(re.findall(r"[^\W\d_]{2,}", source)) - NO_WORDS


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_visible_word_of_a_template_can_be_translated(path):
    assert _bare_words(path.read_text()) == set()
