"""Finding the moods of the catalogue: songs that sound alike, under names that stay."""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from django.db import transaction

from catalog.models import Mood, Song
from recommender.engines.moods import continued, find_moods, name_moods
from recommender.engines.tables import Rows, SongTable
from recommender.loading import load_songs
from recommender.services.training import chance

logger = logging.getLogger(__name__)

CHUNK = 1000  # songs that one UPDATE names

Report = Callable[[str], None]


def refresh_moods(*, seed: int, report: Report = logger.info) -> None:
    """Give each song its mood of today.

    A mood that keeps most of its songs keeps its row, and so its address and its name, staff's own too; the others go
    and new ones come. Run twice, nothing changes. report: called with one line at the end. Raises TableNeeded, and
    leaves all as it is, where no song has a sound or a genre.
    """
    rng = chance(seed)
    songs = load_songs()
    standing = list(Mood.objects.all())
    before = _before(songs, standing)
    labels = find_moods(songs, rng=rng, before=before)
    kept = {mood: standing[place] for mood, place in enumerate(continued(labels, before)) if place >= 0}
    names = name_moods(songs, labels, kept={mood: row.name for mood, row in kept.items()})
    with transaction.atomic():
        moods = _ensure_moods(names, kept)
        for mood, row in enumerate(moods):
            _assign(songs.ids[labels == mood].tolist(), row)
        _assign(songs.ids[labels < 0].tolist(), None)
    sizes = np.bincount(labels[labels >= 0], minlength=len(moods))
    told = "; ".join(f"{row} ({size})" for row, size in zip(moods, sizes, strict=True))
    report(f"{len(moods)} moods, {len(kept)} of them kept: {told}")


def _before(songs: SongTable, standing: Sequence[Mood]) -> Rows:
    """The place of each song's mood in `standing`, int64 (n,), -1 where it has none."""
    places = {mood.pk: place for place, mood in enumerate(standing)}
    moods = dict(Song.objects.exclude(mood=None).values_list("pk", "mood_id"))
    return np.array([places.get(moods.get(pk), -1) for pk in songs.ids], dtype=np.int64)


def _ensure_moods(names: Sequence[str], kept: Mapping[int, Mood]) -> list[Mood]:
    """The rows of these moods, in order; rows of no mood are deleted."""
    # Locked and read anew: staff may have deleted one meanwhile, which then comes back under its name.
    there = Mood.objects.select_for_update().in_bulk([row.pk for row in kept.values()])
    Mood.objects.exclude(pk__in=there).delete()
    rows = (there.get(kept[mood].pk) if mood in kept else None for mood in range(len(names)))
    return [row or Mood.objects.create(name=name) for row, name in zip(rows, names, strict=True)]


def _assign(song_ids: Sequence[int], mood: Mood | None) -> None:
    for start in range(0, len(song_ids), CHUNK):
        Song.objects.filter(pk__in=song_ids[start : start + CHUNK]).exclude(mood=mood).update(mood=mood)
