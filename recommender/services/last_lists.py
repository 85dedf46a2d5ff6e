"""Each listener's mixed list as it was last made, in the database: for while the cache is empty or away."""

from collections.abc import Mapping

from django.db import transaction

from accounts.models import Listener
from recommender.cache import StoredItem, StoredLists
from recommender.engines.hybrid import Hybrid
from recommender.models import LastList

FACTS = ("list_id", "made_at", "run_number", "weights", "items")


@transaction.atomic
def keep_last(*, lists: Mapping[int, StoredLists]) -> None:
    """Keep these in place of each listener's earlier ones; who was deleted while they were made is passed over."""
    there = set(Listener.objects.filter(pk__in=lists).select_for_update(no_key=True).values_list("pk", flat=True))
    rows = [
        LastList(
            listener_id=listener_id,
            list_id=stored.list_id,
            made_at=stored.made_at,
            run_number=stored.run_number,
            weights=stored.weights,
            items=[[item.song_id, item.reason, item.shares] for item in stored.shelves[Hybrid.name]],
        )
        for listener_id, stored in lists.items()
        if listener_id in there
    ]
    LastList.objects.bulk_create(rows, update_conflicts=True, unique_fields=["listener"], update_fields=FACTS)


def last_lists(*, listener: Listener) -> StoredLists | None:
    """The listener's own as last made; None where none ever was."""
    row = LastList.objects.filter(listener=listener).first()
    if row is None:
        return None
    items = tuple(StoredItem(song_id, reason, shares) for song_id, reason, shares in row.items)
    return StoredLists(row.list_id, row.made_at, row.run_number, {Hybrid.name: items}, row.weights)
