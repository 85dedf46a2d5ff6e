from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.api import Number
from recommender import tasks, words
from recommender.engines import ENGINES
from recommender.models import Board
from recommender.services import board, learning, lists


class CardSerializer(serializers.Serializer):
    song_id = serializers.IntegerField(source="song.pk")
    title = serializers.CharField(source="song.title")
    artist = serializers.CharField(source="song.artist.name", default="")
    reason = serializers.CharField()
    shares = serializers.DictField(child=serializers.FloatField(), help_text="Each engine's part in it, 0 to 1.")
    impression_id = serializers.IntegerField(allow_null=True, help_text="Send it with the play, so the band can learn.")


class ShelfSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    cards = CardSerializer(many=True)


class HomeSerializer(serializers.Serializer):
    pending = serializers.BooleanField(help_text="Your own lists are being made; popular songs stand in.")
    shelves = ShelfSerializer(many=True)


class RecommendationsView(APIView):
    """The caller's own lists."""

    @extend_schema(responses=HomeSerializer)
    def get(self, request):
        home = lists.home(listener=request.user)
        if home.wants_refresh:
            tasks.ask_for_lists(request.user.pk)
        return Response(HomeSerializer(home).data)


class ChannelSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    slider = serializers.FloatField()
    learned = serializers.FloatField(help_text="Its weight as learned, 0 to 1.")
    heard = serializers.FloatField(help_text="Its weight with your slider, 0 to 1.")


class MovementSerializer(serializers.Serializer):
    song_id = serializers.IntegerField()
    outcome = serializers.CharField()
    engine = serializers.CharField()
    before = serializers.FloatField()
    after = serializers.FloatField()
    moved_at = serializers.DateTimeField()
    words = serializers.SerializerMethodField()

    def get_words(self, movement) -> str:
        return f"{words.act(movement)}: {words.moved(movement)}"


class BoardSerializer(serializers.Serializer):
    channels = ChannelSerializer(many=True)
    novelty = serializers.FloatField()
    movements = MovementSerializer(many=True, help_text="What moved your mix last, newest first.")


class SlidersSerializer(serializers.Serializer):
    sliders = serializers.DictField(
        child=Number(min_value=0, max_value=Board.LOUDEST),
        help_text=f"By engine ({', '.join(ENGINES)}); 1 is as learned, and so is an engine not named.",
    )
    novelty = Number(min_value=-1, max_value=1, default=0, help_text="-1 is familiar, 1 is new.")


class BoardView(APIView):
    """The caller's own mixing board."""

    queryset = Board.objects.all()  # whose permissions are asked; no row of another is ever read

    @extend_schema(responses=BoardSerializer)
    def get(self, request):
        learning.settle_impressions(listener_id=request.user.pk)
        return Response(BoardSerializer(board.mixing_board(listener=request.user)).data)

    @extend_schema(request=SlidersSerializer, responses=BoardSerializer)
    def put(self, request):
        given = SlidersSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        board.save_board(listener=request.user, **given.validated_data)
        tasks.ask_for_lists(request.user.pk)
        return Response(BoardSerializer(board.mixing_board(listener=request.user)).data)
