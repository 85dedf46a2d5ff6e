"""The catalogue for other programs: everyone signed in reads it, who holds the permission keeps it up to date."""

import math
from copy import copy

from django.core.exceptions import ValidationError
from django.db import models
from django_countries.serializers import CountryFieldMixin
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.filters import BaseFilterBackend
from rest_framework.viewsets import ModelViewSet, ReadOnlyModelViewSet

from catalog.features import FACTS, FEATURES
from catalog.models import Album, Artist, Genre, Mood, Song
from catalog.services import refresh_search


class Number(serializers.FloatField):
    """A number that a column can hold: neither NaN nor an infinity."""

    default_error_messages = {"not_finite": "Must be a finite number."}

    def to_internal_value(self, data):
        try:
            number = super().to_internal_value(data)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.fail("not_finite")
        return number


class CatalogueSerializer(serializers.ModelSerializer):
    serializer_field_mapping = {**serializers.ModelSerializer.serializer_field_mapping, models.FloatField: Number}

    def build_standard_field(self, field_name, model_field):
        field, options = super().build_standard_field(field_name, model_field)
        if model_field.unique and model_field.null:
            # No id is null; two blank ones would be one id twice.
            options.pop("allow_blank", None)
        return field, options


class GenreSerializer(CatalogueSerializer):
    class Meta:
        model = Genre
        fields = ("id", "name", "slug")


class MoodSerializer(CatalogueSerializer):
    class Meta:
        model = Mood
        fields = ("id", "name", "slug")


class ArtistSerializer(CountryFieldMixin, CatalogueSerializer):
    class Meta:
        model = Artist
        fields = ("id", "name", "disambiguation", "country", "musicbrainz_id", "spotify_id")
        extra_kwargs = {"disambiguation": {"default": ""}}


class AlbumSerializer(CatalogueSerializer):
    class Meta:
        model = Album
        fields = ("id", "title", "artist", "year", "musicbrainz_id", "spotify_id")
        extra_kwargs = {"artist": {"default": None}}

    def validate(self, fields):
        """Titles of albums that have no artist are unique too: a rule with a condition, which only the model knows."""
        album = copy(self.instance) or Album()
        for name, value in fields.items():
            setattr(album, name, value)
        try:
            album.validate_constraints()
        except ValidationError as clash:
            raise serializers.ValidationError(serializers.as_serializer_error(clash)) from None
        return fields


class SongSerializer(CatalogueSerializer):
    tags = serializers.ListField(child=serializers.CharField(max_length=100), required=False, max_length=100)
    other_features = serializers.DictField(child=Number(), required=False)
    artist_name = serializers.CharField(source="artist.name", default="", read_only=True)
    audible_seconds = serializers.FloatField(read_only=True)
    audio_url = serializers.CharField(read_only=True)

    class Meta:
        model = Song
        fields = (
            "id",
            "source_id",
            "title",
            "artist",
            "artist_name",
            "album",
            "genre",
            "mood",
            "tags",
            "musicbrainz_id",
            "spotify_id",
            *FACTS,
            *FEATURES,
            "other_features",
            "audible_seconds",
            "audio_url",
            "added_at",
        )

    def validate_other_features(self, features):
        name = serializers.CharField(max_length=100)
        return {name.run_validation(key): number for key, number in features.items()}


class Words(BaseFilterBackend):
    """`?q=` keeps the rows that hold every word asked for."""

    def filter_queryset(self, request, queryset, view):
        return queryset.search(request.query_params.get("q", ""))


searchable = extend_schema_view(
    list=extend_schema(parameters=[OpenApiParameter("q", description="Words to search for")])
)


@searchable
class SongViewSet(ModelViewSet):
    queryset = Song.objects.for_cards()
    serializer_class = SongSerializer
    filter_backends = (Words,)


@searchable
class ArtistViewSet(ModelViewSet):
    queryset = Artist.objects.all()
    serializer_class = ArtistSerializer
    filter_backends = (Words,)

    def perform_update(self, serializer):
        refresh_search(renamed=serializer.save())


@searchable
class AlbumViewSet(ModelViewSet):
    queryset = Album.objects.select_related("artist")
    serializer_class = AlbumSerializer
    filter_backends = (Words,)

    def perform_update(self, serializer):
        refresh_search(renamed=serializer.save())


class GenreViewSet(ModelViewSet):
    queryset = Genre.objects.all()
    serializer_class = GenreSerializer


class MoodViewSet(ReadOnlyModelViewSet):
    queryset = Mood.objects.all()
    serializer_class = MoodSerializer
