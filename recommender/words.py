"""An engine's reasons, said to a listener. Only the listener's own songs are ever named."""

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from listening.models import Impression
from recommender.engines import ENGINES
from recommender.engines.base import Reason
from recommender.models import Movement

COLUMNS = {
    "popularity": gettext_lazy("popular everywhere"),
    "plays": gettext_lazy("played most here"),
    "plays_recent": gettext_lazy("played most lately"),
    "plays_in_country": gettext_lazy("on top of the world where you live"),
    "plays_decayed": gettext_lazy("played most lately"),
    "plays_decayed_in_country": gettext_lazy("on top of the world where you live"),
    "listeners": gettext_lazy("heard by most people here"),
}


def sentence(reasons: tuple[Reason, ...], titles: Mapping[int, str]) -> str:
    """The strongest reason in words; titles: by song id. "" where there is no reason.

    Reasons of one kind speak together: "because you played X and Y".
    """
    if not reasons:
        return ""
    first = reasons[0]
    if first.kind in ("played", "rated", "picked"):
        return _own_songs(first.kind, reasons, titles)
    if first.kind == "listeners":
        return _neighbours(first)
    if first.kind == "genre":
        return _("you like %(genre)s") % {"genre": first.value}
    return str(COLUMNS.get(first.detail) or _("on top of the world"))


def _own_songs(kind: str, reasons: tuple[Reason, ...], titles: Mapping[int, str]) -> str:
    songs = [song for reason in reasons if reason.kind == kind for song in reason.song_ids]
    named = [titles[song] for song in dict.fromkeys(songs) if song in titles][:2]
    if not named:
        return ""
    verb = {"played": _("because you played %(songs)s"), "rated": _("because you rated %(songs)s")}
    joined = _("%(one)s and %(two)s") % {"one": named[0], "two": named[1]} if len(named) > 1 else named[0]
    return verb.get(kind, _("because you picked %(songs)s")) % {"songs": joined}


def _neighbours(reason: Reason) -> str:
    count = int(float(reason.value or 0))
    if count < 1:
        return _("heard by listeners like you")
    heard = ngettext("heard by %(count)d listener like you", "heard by %(count)d listeners like you", count)
    return heard % {"count": count}


ACTS = {
    Impression.Outcome.LOVED: gettext_lazy("You love %(song)s"),
    Impression.Outcome.REFUSED: gettext_lazy("You said no to %(song)s"),
    Impression.Outcome.FULL: gettext_lazy("You heard %(song)s to the end"),
    Impression.Outcome.HALF: gettext_lazy("You heard %(song)s"),
    Impression.Outcome.SKIPPED: gettext_lazy("You left %(song)s early"),
}


def act(movement: Movement) -> str:
    """What the listener did that moved their mix."""
    song = movement.song.known_title
    if movement.outcome in ACTS:
        return ACTS[movement.outcome] % {"song": song}
    return _("You rated %(song)s %(rating)s") % {"song": song, "rating": movement.outcome.removeprefix("rated ")}


def moved(movement: Movement) -> str:
    """Which engine went up or down by it: "Fan club 31% → 27%"."""
    return _("%(engine)s %(before)s%% → %(after)s%%") % {
        "engine": ENGINES[movement.engine].title,
        "before": round(100 * movement.before),
        "after": round(100 * movement.after),
    }
