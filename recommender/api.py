from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from recommender import tasks
from recommender.services import lists


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
        if home.pending or home.stale:
            tasks.ask_for_lists(request.user.pk)
        return Response(HomeSerializer(home).data)
