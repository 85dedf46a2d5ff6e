"""Where lists are made: the band on today's tables, and what its engines say in words."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np
from django.conf import settings
from django.utils import timezone

from recommender.cache import StoredItem, StoredLists
from recommender.engines.coolstart import CoolStart
from recommender.engines.hybrid import Hybrid
from recommender.engines.tables import Floats, Tables
from recommender.engines.threads import bounded
from recommender.loading import load_band, load_tables
from recommender.models import Failure, TrainingRun
from recommender.services.weights import mix
from recommender.words import sentence

logger = logging.getLogger(__name__)

HYBRID = Hybrid.name
SHELF_LENGTH = 12
STORED_LENGTH = 2 * SHELF_LENGTH  # what is heard or blocked meanwhile gives its place to those further down
NEIGHBOURS = 12
TOLD_AGAIN = timedelta(hours=1)  # a fault that lasts is not told at every list


@dataclass
class Bench:
    """Where lists are made: the tables and the band on them, as of `made_at`. An engine that fails leaves the band."""

    made_at: datetime
    tables: Tables
    run: TrainingRun
    band: Hybrid
    titles: dict[int, str]

    @classmethod
    def set_up(cls) -> Self:
        made_at = timezone.now()  # before the rows are read: what comes later counts as not yet known
        tables = load_tables()
        run, band = load_band(tables)
        for engine, why in band.left_out.items():
            note_failure(engine=engine, why=why)
        return cls(made_at, tables, run, band, titles_of(tables))

    def lists(self, listener_ids: Sequence[int]) -> dict[int, StoredLists]:
        with bounded(settings.ENGINE_THREADS):
            alone = self._shelves_alone(listener_ids)
            weights, leaning = mix(listener_ids=listener_ids, run=self.run, engines=list(self.band.engines))
            shelves = {HYBRID: self._hybrid_items(listener_ids, weights, leaning), **alone}
        return {
            pk: self._stored({name: rows[place] for name, rows in shelves.items()}, weights[place])
            for place, pk in enumerate(listener_ids)
        }

    def lists_for_everyone(self) -> StoredLists:
        """The top of the world, whoever asks."""
        anybody = self.tables.users.ids[:1].tolist()
        engine = self.band.engines.get("relevance")
        if engine is None or not anybody:
            return self._stored({}, self._nobodys)
        ids, _ = engine.recommend(anybody, settings.LIST_LENGTH, exclude_heard=False)
        return self._stored({"relevance": plain_items("relevance", ids[0])}, self._nobodys)

    def neighbours(self) -> dict[int, tuple[int, ...]]:
        """The nearest songs of each song that has features."""
        engine = self.band.engines.get("coolstart")
        if not isinstance(engine, CoolStart):
            return {}
        with bounded(settings.ENGINE_THREADS):
            ids, _ = engine.nearest(2 * NEIGHBOURS)  # more than are shown: some may be blocked
        return {
            int(pk): tuple(int(near) for near in row if near != -1)
            for pk, row in zip(self.tables.songs.ids, ids, strict=True)
        }

    @property
    def _nobodys(self) -> Floats:
        return np.array(list(self.band.weights.values()))

    def _shelves_alone(self, listener_ids: Sequence[int]) -> dict[str, list[tuple[StoredItem, ...]]]:
        """What each engine says by itself, with artists capped. One that fails is left out from here on: the others
        share its weight, and staff are told."""
        shelves = {}
        for name, engine in list(self.band.engines.items()):
            try:
                ids, _ = Hybrid({name: engine}).recommend(listener_ids, STORED_LENGTH)
            except Exception as fault:
                logger.exception("%s is left out of the lists", name)
                note_failure(engine=name, why=f"{type(fault).__name__}: {fault}")
                self.band = _without(self.band, name)
            else:
                shelves[name] = [plain_items(name, row) for row in ids]
        return shelves

    def _hybrid_items(
        self, listener_ids: Sequence[int], weights: Floats, leaning: Floats
    ) -> list[tuple[StoredItem, ...]]:
        ids, _, shares = self.band.blend(listener_ids, settings.LIST_LENGTH, weights=weights, leaning=leaning)
        return [
            tuple(
                StoredItem(
                    song_id=int(pk),
                    reason=reason(self.band, listener_id, pk, parts, self.titles),
                    shares=_told(self.band, parts),
                )
                for pk, parts in zip(row, row_shares, strict=True)
                if pk != -1
            )
            for listener_id, row, row_shares in zip(listener_ids, ids, shares, strict=True)
        ]

    def _stored(self, shelves: dict[str, tuple[StoredItem, ...]], weights: Floats) -> StoredLists:
        return StoredLists(uuid.uuid4().hex, self.made_at, self.run.pk, shelves, _told(self.band, weights))


def reason(band: Hybrid, listener_id: int, song_id: int, parts: Floats, titles: dict[int, str]) -> str:
    """In words, why the engine with the greatest share chose the song; the next one's word where it has none."""
    engines = list(band.engines.values())
    speaking = [engines[place] for place in np.argsort(-parts, kind="stable") if parts[place] > 0]
    words = (sentence(engine.explain(listener_id, song_id), titles) for engine in speaking)
    return next((said for said in words if said), "")


def _told(band: Hybrid, parts: Floats) -> dict[str, float]:
    return {name: round(float(part), 4) for name, part in zip(band.engines, parts, strict=True) if part > 0}


def plain_items(engine: str, ids: Sequence[int]) -> tuple[StoredItem, ...]:
    return tuple(StoredItem(song_id=int(pk), reason="", shares={engine: 1.0}) for pk in ids if pk != -1)


def titles_of(tables: Tables) -> dict[int, str]:
    """Titles by song id, of the songs that have one."""
    return {pk: title for pk, title in zip(tables.songs.ids.tolist(), tables.songs.titles, strict=True) if title}


def _without(band: Hybrid, name: str) -> Hybrid:
    """The band without this engine, whose weight the others share. Raises EngineFault where it was the last."""
    engines = {other: engine for other, engine in band.engines.items() if other != name}
    weights = {other: band.weights[other] for other in engines}
    return Hybrid(engines, weights if any(weights.values()) else None, rules=band.rules)


def note_failure(*, engine: str, why: str) -> None:
    """Tell staff that an engine was left out, and why."""
    now = timezone.now()
    if not Failure.objects.filter(engine=engine, note=why, failed_at__gte=now - TOLD_AGAIN).exists():
        Failure.objects.create(engine=engine, note=why, failed_at=now)
