from django import template
from django.template.context import RequestContext

from catalog.models import Song

register = template.Library()

STARS = range(1, 6)


@register.filter
def of(ratings: dict[int, int], song: Song) -> int | None:
    """The listener's rating of a song, out of those the view fetched in one query."""
    return ratings.get(song.pk)


@register.inclusion_tag("listening/_stars.html", takes_context=True)
def stars(context: RequestContext, song: Song, rating: int | None) -> dict:
    return {"song": song, "rating": rating, "stars": STARS, "back": context["request"].get_full_path()}
