"""What the caller has heard, rated and judged. Nobody is ever shown, or let change, another listener's rows."""

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from catalog.api import Number
from catalog.models import Song
from listening.models import History, Impression, Play, Rating, Verdict
from listening.services import clear_rating, clear_verdict, rate_song, record_play, save_verdict
from quasimusic.api import Pages
from quasimusic.exceptions import UnknownSong


class SongField(serializers.PrimaryKeyRelatedField):
    """A song by its id; one that is not there is not found, rather than a wrong field."""

    def fail(self, key, **words):
        if key == "does_not_exist":
            raise UnknownSong(f"There is no song {words['pk_value']}.")
        super().fail(key, **words)


class OwnImpressionField(serializers.PrimaryKeyRelatedField):
    """An impression of the caller's own; those of others do not exist for them."""

    def get_queryset(self):
        return super().get_queryset().filter(listener_id=self.context["request"].user.pk)


class PlaySerializer(serializers.ModelSerializer):
    song = SongField(queryset=Song.objects.all())
    source = serializers.ChoiceField(Play.Source.choices, default=Play.Source.API)
    seconds_heard = Number(min_value=0)
    impression = OwnImpressionField(queryset=Impression.objects.all(), required=False, allow_null=True)

    class Meta:
        model = Play
        fields = ("id", "song", "key", "started_at", "seconds_heard", "counted", "source", "impression")
        read_only_fields = ("counted",)

    def create(self, validated_data):
        return record_play(listener=self.context["request"].user, **validated_data)


class RatingSerializer(serializers.ModelSerializer):
    song = SongField(queryset=Song.objects.all())
    rating = serializers.IntegerField(min_value=1, max_value=5)

    class Meta:
        model = Rating
        fields = ("song", "rating", "rated_at")
        read_only_fields = ("rated_at",)

    def create(self, validated_data):
        return rate_song(listener=self.context["request"].user, **validated_data)


class GivenRatingSerializer(serializers.Serializer):
    rating = serializers.IntegerField(min_value=1, max_value=5)


class HistorySerializer(serializers.ModelSerializer):
    class Meta:
        model = History
        fields = ("song", "repetition", "last_played_at")


class VerdictSerializer(serializers.ModelSerializer):
    song = SongField(queryset=Song.objects.all(), required=False, allow_null=True)

    class Meta:
        model = Verdict
        fields = ("id", *Verdict.THINGS, "kind", "said_at", "expires_at")
        read_only_fields = ("said_at",)

    def validate(self, fields):
        if sum(fields.get(name) is not None for name in Verdict.THINGS) != 1:
            raise serializers.ValidationError("A verdict is of one thing: name a song, an artist or a genre.")
        return fields

    def create(self, validated_data):
        thing = next(validated_data[name] for name in Verdict.THINGS if validated_data.get(name) is not None)
        return save_verdict(
            listener=self.context["request"].user,
            thing=thing,
            kind=validated_data["kind"],
            expires_at=validated_data.get("expires_at"),
        )


class NewestFirst(Pages):
    ordering = "-pk"


class OwnRows(GenericViewSet):
    """The caller's own rows of a model."""

    def get_queryset(self):
        return super().get_queryset().filter(listener_id=self.request.user.pk)


class PlayViewSet(mixins.CreateModelMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnRows):
    """Plays. One reported again under its key is lengthened, never doubled."""

    queryset = Play.objects.all()
    serializer_class = PlaySerializer
    pagination_class = NewestFirst


class RatingViewSet(
    mixins.CreateModelMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, OwnRows
):
    """Ratings, each at the id of its song."""

    queryset = Rating.objects.all()
    serializer_class = RatingSerializer
    lookup_field = "song__id"
    lookup_url_kwarg = "song"

    @extend_schema(request=GivenRatingSerializer)
    def update(self, request, song):
        given = GivenRatingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        row = rate_song(listener=request.user, song=get_object_or_404(Song, pk=song), **given.validated_data)
        return Response(self.get_serializer(row).data)

    def perform_destroy(self, rating):
        clear_rating(listener=self.request.user, song=rating.song)


class VerdictViewSet(
    mixins.CreateModelMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, OwnRows
):
    """Verdicts in force. A new one on a song, artist or genre takes the place of the old; deleting takes it back."""

    queryset = Verdict.objects.all()
    serializer_class = VerdictSerializer
    pagination_class = NewestFirst

    def get_queryset(self):
        return super().get_queryset().in_force()

    def perform_destroy(self, verdict):
        clear_verdict(listener=self.request.user, thing=verdict.thing)


class HistoryViewSet(mixins.ListModelMixin, OwnRows):
    """How often the caller heard each song, and when last."""

    queryset = History.objects.all()
    serializer_class = HistorySerializer
