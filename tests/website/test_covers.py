"""Covers: drawn from the address alone, the same for ever, well-formed whatever the sound."""

from itertools import product
from xml.etree import ElementTree

import pytest
from django.urls import reverse

from catalog.covers import Cover, cover_code
from catalog.models import Song
from catalog.templatetags.songs import cover


@pytest.mark.django_db
def test_a_cover_needs_no_log_in_and_no_query(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get(reverse("cover", args=["a7", "25734"]))
    assert answer["Content-Type"] == "image/svg+xml"
    assert "immutable" in answer["Cache-Control"]
    assert answer.content.decode() == Cover("a7", "25734").svg()


@pytest.mark.parametrize("sound", ["00000", "99999", "xxxxx", "09090", "5x5x5"])
def test_every_motif_is_well_formed_at_the_edges(sound):
    drawn = {Cover(f"{kind}{number}", sound).svg() for kind, number in product("sargm", range(20))}
    assert len(drawn) == 100
    for svg in drawn:
        ElementTree.fromstring(svg)  # noqa: S314 - our own drawing
        assert "nan" not in svg


def test_the_sound_colours_the_cover_and_the_album_draws_it(add_songs):
    calm = add_songs(1, energy=0.1, valence=0.1)[0]
    loud = add_songs(1, energy=0.9, valence=0.9)[0]
    assert cover(calm) != cover(loud)
    assert cover(calm).split("-")[0] == cover(loud).split("-")[0]


def test_a_song_without_album_or_features_has_a_cover_of_its_own():
    assert cover(Song(pk=3)) != cover(Song(pk=4))


def test_features_out_of_the_drawn_range_are_drawn_at_its_edge():
    assert cover_code("s", 1, Song(energy=1, valence=0, acousticness=0.5, danceability=None, tempo=300)) == "s1-905x9"
