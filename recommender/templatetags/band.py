from dataclasses import dataclass

from django import template
from django.forms import BoundField, Form

from recommender import words
from recommender.engines import ENGINES

register = template.Library()
register.filter(words.act)
register.filter(words.moved)


@dataclass(frozen=True)
class Part:
    name: str
    title: str
    percent: int
    start: int


@register.inclusion_tag("recommender/_mix.html")
def mix(shares: dict[str, float]) -> dict:
    """Which engines spoke for a song, as a bar of parts in the order of the band."""
    parts, start = [], 0
    whole = sum(shares.values()) or 1
    for name, engine in ENGINES.items():
        percent = round(100 * shares.get(name, 0) / whole)
        if percent:
            parts.append(Part(name, engine.title, percent, start))
            start += percent
    return {"parts": parts}


@register.filter
def percent(weight: float) -> int:
    """A weight of 0 to 1 in hundredths."""
    return round(100 * weight)


@register.filter
def slider(form: Form, name: str) -> BoundField:
    """The field of a channel."""
    return form[name]
