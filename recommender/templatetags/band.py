from dataclasses import dataclass

from django import template

from recommender.engines import ENGINES

register = template.Library()


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
