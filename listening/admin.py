"""What listeners did, for analysts to read. Nobody writes it by hand."""

from django.contrib import admin
from unfold.paginator import InfinitePaginator

from listening.models import History, Impression, Play, Rating, Verdict
from quasimusic.admin import HouseAdmin, ReadOnly


class RecordAdmin(ReadOnly, HouseAdmin):
    """A table that grows without end: newest first, never counted, searched by whole usernames."""

    ordering = ("-pk",)
    paginator = InfinitePaginator
    list_select_related = ("listener", "song")
    search_fields = ("=listener__username",)
    search_help_text = "A listener's username, whole."


@admin.register(Play)
class PlayAdmin(RecordAdmin):
    list_display = ("started_at", "listener", "song", "seconds_heard", "counted", "source")
    list_filter = ("counted", "source")


@admin.register(History)
class HistoryAdmin(RecordAdmin):
    list_display = ("listener", "song", "repetition", "last_played_at")


@admin.register(Rating)
class RatingAdmin(RecordAdmin):
    list_display = ("listener", "song", "rating", "rated_at")
    list_filter = ("rating",)


@admin.register(Verdict)
class VerdictAdmin(RecordAdmin):
    list_display = ("listener", "kind", "thing", "said_at", "expires_at")
    list_filter = ("kind",)
    list_select_related = ("listener", "song", "artist", "genre")


@admin.register(Impression)
class ImpressionAdmin(RecordAdmin):
    list_display = ("shown_at", "listener", "song", "shelf", "rank", "outcome", "reward", "settled_at")
    list_filter = (
        "outcome",
        ("settled_at", admin.EmptyFieldListFilter),
    )
