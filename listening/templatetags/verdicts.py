from django import template
from django.template.context import Context, RequestContext

from catalog.models import Song
from listening.models import Verdict
from listening.services import Thing

register = template.Library()


@register.inclusion_tag("listening/_verdict.html", takes_context=True)
def verdict_form(context: RequestContext, thing: Thing) -> dict:
    """What the listener says of a song, artist or genre, to be said or taken back."""
    back = context.get("back") or context["request"].get_full_path()
    of = thing._meta.model_name
    return {"thing": thing, "of": of, "verdict": context["said"].get((of, thing.pk)), "back": back}


@register.inclusion_tag("listening/_verdict_menu.html", takes_context=True)
def verdict_menu(context: RequestContext, song: Song, look: str = "") -> dict:
    """The way to all that can be said of a song, its artist and its genre."""
    return {"song": song, "look": look, "back": context["request"].get_full_path()}


@register.inclusion_tag("listening/_verdict_mark.html", takes_context=True)
def verdict_mark(context: Context, thing: Thing) -> dict:
    """What was said of a thing, where there is no room to change it; of a song, also what bars it with its artist."""
    return {"verdict": _telling(context["said"], thing), "of": thing._meta.model_name}


@register.filter
def barred(song: Song, said: dict[tuple[str, int], Verdict]) -> bool:
    """Whether the listener blocked the song, its artist or its genre."""
    verdict = _telling(said, song)
    return verdict is not None and verdict.kind == Verdict.Kind.NO


def _telling(said: dict[tuple[str, int], Verdict], thing: Thing) -> Verdict | None:
    """The verdict that decides on a thing: a no wherever it comes from, else what was said of the thing itself."""
    own = said.get((thing._meta.model_name, thing.pk))
    if not isinstance(thing, Song):
        return own
    wider = (said.get(("artist", thing.artist_id)), said.get(("genre", thing.genre_id)))
    return next((verdict for verdict in (own, *wider) if verdict and verdict.kind == Verdict.Kind.NO), own)
