"""What listeners do, written down: plays, ratings, verdicts and the picks of sign-up."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from numbers import Integral
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from accounts.models import Listener
from catalog.columns import EARLIEST
from catalog.models import Artist, Genre, Song
from listening.models import COUNTED_SECONDS, COUNTED_SHARE, History, Impression, Pick, Play, Rating, Verdict
from quasimusic.exceptions import PlayRejected, RatingOutOfRange, VerdictRejected

CLOCK_SLACK = timedelta(minutes=1)  # a player's clock may be a little ahead of ours
FARTHEST = timedelta(days=36525)  # a verdict that is to hold for a century holds for good

Thing = Song | Artist | Genre


def seconds_to_count(song: Song) -> float:
    """How much of a song must be heard before a play counts."""
    return min(COUNTED_SHARE * song.audible_seconds, COUNTED_SECONDS)


@transaction.atomic
def record_play(
    *,
    listener: Listener,
    song: Song,
    key: UUID | str,
    started_at: datetime,
    seconds_heard: float,
    source: str,
    impression: Impression | None = None,
) -> Play:
    """Write a play down, or lengthen the one already reported under this key.

    Reports may come twice, late and at once: seconds heard only rise, and the play enters the history once, when it
    first counts. Raises PlayRejected.
    """
    _check_play(listener, song, source, impression)
    heard = _heard_seconds(seconds_heard, song)
    first_report = {
        "song": song,
        "started_at": _start(started_at),
        "seconds_heard": heard,
        "source": source,
        "impression": impression,
    }
    play, _ = Play.objects.get_or_create(listener=listener, key=_key(key), defaults=first_report)
    if play.song_id != song.pk:
        raise PlayRejected("This key belongs to a play of another song; make a fresh key for every play.")
    Play.objects.filter(pk=play.pk, seconds_heard__lt=heard).update(seconds_heard=heard)
    long_enough = Play.objects.filter(pk=play.pk, counted=False, seconds_heard__gte=seconds_to_count(song))
    if long_enough.update(counted=True):
        _raise_history(play)
    play.refresh_from_db(fields=["seconds_heard", "counted"])
    return play


def _check_play(listener: Listener, song: Song, source: str, impression: Impression | None) -> None:
    if source not in Play.Source.values:
        raise PlayRejected(f"A play cannot come from {source!r}; it comes from {', '.join(Play.Source.values)}.")
    if impression and (impression.listener_id, impression.song_id) != (listener.pk, song.pk):
        raise PlayRejected("This impression is of another listener or another song; send the one the song came with.")


def _key(key: UUID | str) -> UUID:
    try:
        return UUID(str(key))
    except ValueError:
        raise PlayRejected(f"{key!r} is no key; a play's key is a UUID made by the player.") from None


def _start(started_at: datetime) -> datetime:
    now = timezone.now()
    if not isinstance(started_at, datetime) or timezone.is_naive(started_at):
        raise PlayRejected("A play's start is a time with its zone, such as 2026-01-31T20:15:00Z.")
    if not EARLIEST <= started_at <= now + CLOCK_SLACK:
        raise PlayRejected(f"A play starts between {EARLIEST.year} and now; check the clock of the device.")
    return min(started_at, now)


def _heard_seconds(seconds_heard: float, song: Song) -> float:
    try:
        seconds = float(seconds_heard)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise PlayRejected(f"Seconds heard must be a number from 0; {seconds_heard!r} is not.")
    return min(seconds, song.audible_seconds)


def _raise_history(play: Play) -> None:
    """Count one more play of this song. The UPDATE adds in the database, so that plays counted at once all add up."""
    started_at = Value(play.started_at, output_field=DateTimeField())
    row, is_first = History.objects.get_or_create(
        listener_id=play.listener_id,
        song_id=play.song_id,
        defaults={"repetition": 1, "last_played_at": play.started_at, "counted_at": timezone.now()},
    )
    if not is_first:
        History.objects.filter(pk=row.pk).update(
            repetition=F("repetition") + 1,
            last_played_at=Greatest(Coalesce(F("last_played_at"), started_at), started_at),
            counted_at=timezone.now(),
        )


def rate_song(*, listener: Listener, song: Song, rating: int) -> Rating:
    """Rate a song, or change the rating given. Raises RatingOutOfRange unless it is a whole number from 1 to 5."""
    if not isinstance(rating, Integral) or isinstance(rating, bool) or not 1 <= rating <= 5:
        raise RatingOutOfRange(f"A rating is a whole number from 1 to 5; {rating!r} is not.")
    given = {"rating": int(rating), "rated_at": timezone.now()}
    row, _ = Rating.objects.update_or_create(listener=listener, song=song, defaults=given)
    return row


def clear_rating(*, listener: Listener, song: Song) -> None:
    """Take a rating back; nothing happens where there is none."""
    Rating.objects.filter(listener=listener, song=song).delete()


def save_verdict(*, listener: Listener, thing: Thing, kind: str, expires_at: datetime | None = None) -> Verdict:
    """Write down what a listener says of a song, artist or genre, in place of what they said of it before.

    kind : "love", or "no": no more of it. expires_at : until when it holds; None is for good.
    Raises VerdictRejected on another kind, or an end that is no moment with its zone or does not lie ahead.
    """
    if kind not in Verdict.Kind.values:
        raise VerdictRejected(f"A verdict is {' or '.join(Verdict.Kind.values)}; {kind!r} is not.")
    now = timezone.now()
    _check_end(expires_at, now)
    said = {"kind": kind, "said_at": now, "expires_at": expires_at}
    verdict, _ = Verdict.objects.update_or_create(listener=listener, **_of(thing), defaults=said)
    return verdict


def clear_verdict(*, listener: Listener, thing: Thing) -> None:
    """Take back what was said of a song, artist or genre: it ends now. Nothing happens where nothing is in force."""
    now = timezone.now()
    Verdict.objects.filter(listener=listener, **_of(thing)).in_force(now).update(expires_at=now)


def _of(thing: Thing) -> dict[str, Thing]:
    return {thing._meta.model_name: thing}


def _check_end(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is None:
        return
    if not isinstance(expires_at, datetime) or timezone.is_naive(expires_at):
        raise VerdictRejected("A verdict's end is a time with its zone, such as 2026-01-31T20:15:00Z.")
    if not now < expires_at <= now + FARTHEST:
        raise VerdictRejected("A verdict ends in the future, within a hundred years; leave the end out for good.")


@transaction.atomic
def save_picks(*, listener: Listener, genres: Iterable[Genre], songs: Iterable[Song]) -> None:
    """Make these the listener's picks in place of all earlier ones; those picked again keep their time."""
    genres, songs = set(genres), set(songs)
    picks = Pick.objects.filter(listener=listener)
    picks.exclude(song=None).exclude(song__in=songs).delete()
    picks.exclude(genre=None).exclude(genre__in=genres).delete()
    now = timezone.now()
    chosen = [Pick(listener=listener, genre=genre, picked_at=now) for genre in genres]
    chosen += [Pick(listener=listener, song=song, picked_at=now) for song in songs]
    Pick.objects.bulk_create(chosen, ignore_conflicts=True)
