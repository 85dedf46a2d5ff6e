"""What was shown to whom: noted as it is shown, deleted when all is learned from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import Listener
from listening.models import Impression
from recommender.cache import StoredItem, StoredLists
from recommender.engines.hybrid import Hybrid
from recommender.models import Failure, Movement, Weights

CHUNK = 2_000

Noted = dict[tuple[str, int], int]


def note_shown(*, listener: Listener, lists: StoredLists, shown: Mapping[str, Sequence[StoredItem]]) -> Noted:
    """Write what is shown, once a list and shelf however often the page is loaded; ids by (shelf, song id)."""
    noted = _noted(listener, lists)
    now = timezone.now()
    fresh = [
        Impression(
            listener=listener, song_id=item.song_id, list_id=lists.list_id, shelf=name, rank=rank, shares=item.shares,
            weights=lists.weights if name == Hybrid.name else {}, reason=item.reason, run_number=lists.run_number,
            shown_at=now,
        )
        for name, items in shown.items()
        for rank, item in enumerate(items, start=1)
        if (name, item.song_id) not in noted
    ]  # fmt: skip
    if not fresh:
        return noted
    Impression.objects.bulk_create(fresh, ignore_conflicts=True)
    return _noted(listener, lists)


def prune_history() -> dict[str, int]:
    """Delete what has been learned from and is older than IMPRESSION_DAYS; returns how many rows of each kind.

    What impressions earned was summed as they were settled and stays. Of the weights of each day the last row stays.
    """
    before = timezone.now() - timedelta(days=settings.IMPRESSION_DAYS)
    return {
        "impressions": _prune_impressions(before),
        "weights": _prune_weights(before),
        "movements": Movement.objects.filter(moved_at__lt=before).delete()[0],
        "failures": Failure.objects.filter(failed_at__lt=before).delete()[0],
    }


def _noted(listener: Listener, lists: StoredLists) -> Noted:
    rows = listener.impressions.filter(list_id=lists.list_id)
    return {(shelf, song_id): pk for shelf, song_id, pk in rows.values_list("shelf", "song_id", "pk")}


def _prune_impressions(before: datetime) -> int:
    """In chunks of their own transactions, so that a broken-off night loses nothing and listeners never wait long."""
    old = Impression.objects.filter(settled_at__lt=before).order_by("settled_at")
    n_deleted = 0
    while pks := list(old.values_list("pk", flat=True)[:CHUNK]):
        Impression.objects.filter(pk__in=pks).delete()
        n_deleted += len(pks)
    return n_deleted


def _prune_weights(before: datetime) -> int:
    rows = Weights.objects.filter(made_at__lt=before).order_by("pk").values_list("pk", "made_at")
    last = {timezone.localdate(made_at): pk for pk, made_at in rows}
    return Weights.objects.filter(made_at__lt=before).exclude(pk__in=last.values()).delete()[0]
