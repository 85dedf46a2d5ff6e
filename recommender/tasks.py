"""What Celery runs. Each task may run twice, or be killed midway, without harm."""

from celery import shared_task
from django.conf import settings

from quasimusic.exceptions import ModelsAbsent, TableNeeded
from recommender.cache import first_to_ask
from recommender.services import impressions, learning, lists, moods, training

ASK_SECONDS = 5
NOT_YET = (ModelsAbsent,)  # everyday life until the first training: told in a line, without a trace


@shared_task(name="recommender.train", throws=NOT_YET)
def train() -> None:
    training.train_band(seed=settings.TRAIN_SEED)
    lists.refresh_everybody()


@shared_task(name="recommender.refresh_moods", throws=(TableNeeded,))
def refresh_moods() -> None:
    moods.refresh_moods(seed=settings.TRAIN_SEED)


@shared_task(name="recommender.prune")
def prune() -> None:
    impressions.prune_history()


@shared_task(name="recommender.refresh", throws=NOT_YET)
def refresh() -> None:
    lists.refresh_everybody()


@shared_task(name="recommender.refresh_listener", throws=NOT_YET)
def refresh_listener(listener_id: int) -> None:
    learning.settle_impressions(listener_id=listener_id)  # what was just told shapes the list it asked for
    lists.refresh_listeners(listener_ids=[listener_id])


@shared_task(name="recommender.learn", throws=NOT_YET)
def learn() -> None:
    learning.settle_impressions()
    learning.learn_weights()
    behind = lists.listeners_behind()
    if behind:
        lists.refresh_listeners(listener_ids=behind)


def ask_for_lists(listener_id: int) -> None:
    """Have one listener's lists made soon; asking again within a few seconds changes nothing."""
    if first_to_ask(listener_id, ASK_SECONDS):
        refresh_listener.delay_on_commit(listener_id)
