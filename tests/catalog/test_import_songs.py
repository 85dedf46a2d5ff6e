"""Importing songs: what comes in, what is refused and how it is said, and that a file is whole or not at all."""

import pytest

from catalog.importing import import_songs
from catalog.models import Album, Artist, Genre, Song
from quasimusic.exceptions import (
    ColumnIgnored,
    ColumnMissing,
    FileRejected,
    RowRejected,
    RowWithoutFeatures,
    TableFault,
)

pytestmark = pytest.mark.django_db

HEADER = "song_id,title,artist,album,year,genre,tags,energy,key\n"
SPOTIFY = (
    "genre,artist_name,track_name,track_id,popularity,acousticness,danceability,duration_ms,energy,instrumentalness,"
    "key,liveness,loudness,mode,speechiness,tempo,time_signature,valence\n"
)


@pytest.fixture
def songs_file(tmp_path):
    def write(content, name="songs.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def counts(outcome):
    return outcome.new, outcome.changed, outcome.unchanged


def test_a_song_comes_in_with_all_that_is_known(songs_file):
    path = songs_file(HEADER + "s1, Öde Straße ,Ana,Début,2008.0,dream pop,live|dream pop|live,0.25,2.0\n")
    assert counts(import_songs(path=path)) == (1, 0, 0)
    song = Song.objects.get(source_id="s1")
    assert (song.title, song.artist.name, song.album.title, song.genre.name) == (
        "Öde Straße",
        "Ana",
        "Début",
        "dream pop",
    )
    assert (song.year, song.energy, song.key, song.tags) == (2008, 0.25, 2, ["live", "dream pop"])
    assert song in Song.objects.search("ode strasse ana debut")
    assert Album.objects.search("debut ana").exists()


def test_the_same_file_twice_changes_nothing(songs_file):
    path = songs_file(HEADER + "s1,One,Ana,A,2001,pop,,0.5,1\ns2,,,,,,live,,\ns3,Two,Ana,A,,rock,,0.1,\n")
    import_songs(path=path)
    before = list(Song.objects.order_by("pk").values())
    assert counts(import_songs(path=path)) == (0, 0, 3)
    assert list(Song.objects.order_by("pk").values()) == before
    assert (Artist.objects.count(), Album.objects.count(), Genre.objects.count()) == (1, 1, 2)


def test_a_later_file_changes_what_it_says_and_keeps_the_rest(songs_file):
    import_songs(path=songs_file(HEADER + "s1,One,Ana,A,2001,pop,live,0.5,1\ns2,Two,Bo,,,pop,,0.4,\n"))
    song = Song.objects.get(source_id="s1")
    path = songs_file("song_id,title,artist,energy\ns1,One more,Ana,\ns2,Two,Bo,0.4\ns3,Three,Bo,0.6\n")
    assert counts(import_songs(path=path)) == (1, 1, 1)
    again = Song.objects.get(source_id="s1")
    assert (again.pk, again.title, again.energy, again.genre, again.tags) == (
        song.pk,
        "One more",
        0.5,
        song.genre,
        ["live"],
    )
    assert again in Song.objects.search("one more")


def test_an_artist_told_apart_by_an_editor_stays_told_apart(songs_file):
    path = songs_file(HEADER + "s1,One,Nina,,,,,0.5,\n")
    import_songs(path=path)
    Artist.objects.update(disambiguation="rapper")
    assert counts(import_songs(path=path)) == (0, 0, 1)
    assert Song.objects.get().artist == Artist.objects.get()


def test_unknown_numbers_are_kept_and_unknown_words_are_named(songs_file):
    path = songs_file("song_id,title,artist,mood,label,empty\ns1,a,b,-1.5,X,\ns2,a,b,2,7,\n")
    with pytest.warns(ColumnIgnored, match="label") as caught:
        import_songs(path=path)
    assert "mood" not in str(caught[0].message)
    assert Song.objects.get(source_id="s1").other_features == {"mood": -1.5}
    assert Song.objects.get(source_id="s2").other_features == {"mood": 2}


def test_songs_without_features_are_counted(songs_file):
    with pytest.warns(RowWithoutFeatures, match="2 of 3"):
        import_songs(path=songs_file(HEADER + "s1,a,b,,,,,,\ns2,a,b,,,,,0.5,\ns3,,,,,,,,\n"))
    assert Song.objects.count() == 3


def test_genres_whose_slugs_fall_together_stay_two(songs_file):
    import_songs(path=songs_file(HEADER + "s1,a,b,,,R&B,,,\ns2,a,b,,,RB,,,\ns3,a,b,,,!!!,,,\n"))
    assert Genre.objects.values("slug").distinct().count() == 3


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("s1,a,b,,,,,1.5,", "energy", "from 0 to 1"),
        ("s1,a,b,,,,,NaN,", "energy", "from 0 to 1"),
        ("s1,a,b,,,,,inf,", "energy", "from 0 to 1"),
        ("s1,a,b,,,,,loud,", "energy", "from 0 to 1"),
        ("s1,a,b,,,,,,1.5", "key", "whole number from 0 to 11"),
        ("s1,a,b,,,,,,12", "key", "whole number from 0 to 11"),
        ("s1,a,b,,2008.5,,,,", "year", "whole number"),
        (",a,b,,,,,,", "song_id", "blank"),
        ("s0,a,b,,,,,,", "song_id", "line 2"),
        (f"s1,{'x' * 401},b,,,,,,", "title", "401"),
        ("s1,a,b,,,,", "7 fields", "9"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(songs_file, row, column, reason):
    path = songs_file(f"{HEADER}s0,fine,b,,,pop,,0.5,\n{row}\n")
    with pytest.raises(RowRejected, match=r"songs\.csv, line 3") as fault:
        import_songs(path=path)
    assert column in str(fault.value)
    assert reason in str(fault.value)
    assert not Song.objects.exists()
    assert not Artist.objects.exists()
    assert not Genre.objects.exists()


def test_bad_rows_are_named_together_but_not_without_end(songs_file):
    few = HEADER + "s1,a,b,,,,,7,\ns2,a,b,,,,,,\ns3,a,b,,,,,,99\n"
    with pytest.raises(RowRejected) as fault:
        import_songs(path=songs_file(few))
    assert "line 2, energy" in str(fault.value)
    assert "line 4, key" in str(fault.value)
    with pytest.raises(RowRejected) as fault:
        import_songs(path=songs_file(HEADER + "".join(f"s{i},a,b,,,,,7,\n" for i in range(50))))
    assert str(fault.value).count("\n") == 20


def test_a_line_is_counted_as_an_editor_counts_it(songs_file):
    with pytest.raises(RowRejected, match="line 4"):
        import_songs(path=songs_file(HEADER + 's1,"two\nlines",b,,,,,,\ns2,a,b,,,,,9,\n'))


@pytest.mark.parametrize(
    ("content", "fault", "words"),
    [
        (b"", FileRejected, "empty"),
        (b"\n", FileRejected, "empty"),
        (b"title,artist\na,b\n", ColumnMissing, "song_id"),
        (b"song_id,title\ns1,a\n", ColumnMissing, "artist"),
        (b"song_id,title,artist,title\n", FileRejected, "twice"),
        (b"song_id,title,artist\ns1,a,b\ns2,caf\xe9,b\n", FileRejected, "line 3.*0xe9.*UTF-8"),
        (b"song_id,title,artist\ns1,a\x00,b\n", FileRejected, "line 2.*NUL"),
        (b'song_id,title,artist\ns1,"a,b\n', FileRejected, "line 2"),
        ("song_id,title,artist\n".encode("utf-16"), FileRejected, "UTF-8"),
        (b"song_id,title,artist\n" + b"x" * 1_100_000, FileRejected, "line 2.*longer"),
    ],
)
def test_a_file_that_is_no_table_says_why(songs_file, content, fault, words):
    with pytest.raises(fault, match=words):
        import_songs(path=songs_file(content))
    assert not Song.objects.exists()


def test_a_number_column_of_its_own_may_not_hold_infinity(songs_file):
    with pytest.raises(RowRejected, match="line 3, mood"):
        import_songs(path=songs_file("song_id,title,artist,mood\ns1,a,b,1\ns2,a,b,inf\n"))


def test_a_header_alone_is_a_table_without_rows(songs_file):
    assert counts(import_songs(path=songs_file(HEADER))) == (0, 0, 0)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(songs_file):
    import_songs(path=songs_file(b"\xef\xbb\xbfsong_id,title,artist,energy\r\ns1,a,b,0.5\r\n\r\n"))
    assert Song.objects.get().energy == 0.5


def test_spotify_features_come_in_with_their_notes_and_genres(songs_file):
    tail = "40,0.1,0.2,200000,0.3,0,C#,0.4,-5,Major,0.05,120,4/4,0.6\n"
    rows = f"Pop,Ana,One,t1,{tail}Dance,Ana,One,t1,{tail}Pop,Ana,One,t1,{tail}Dance,Bo,Two,t2,{tail}"
    path = songs_file(SPOTIFY + rows, "SpotifyFeatures.csv")
    assert counts(import_songs(path=path)) == (2, 0, 0)
    song = Song.objects.get(source_id="t1")
    assert (song.title, song.artist.name, song.genre.name, song.tags) == ("One", "Ana", "Pop", ["Dance"])
    assert (song.key, song.mode, song.time_signature, song.popularity) == (1, 1, 4, 40)
    assert counts(import_songs(path=path)) == (0, 0, 2)


@pytest.mark.parametrize(("name", "value"), [("C#", "H"), ("Major", "Dorian"), ("4/4", "four")])
def test_spotify_features_name_what_is_no_note(songs_file, name, value):
    row = "Pop,Ana,One,t1,40,0.1,0.2,200000,0.3,0,C#,0.4,-5,Major,0.05,120,4/4,0.6\n".replace(name, value)
    with pytest.raises(TableFault, match=f"line 2.*{value}"):
        import_songs(path=songs_file(SPOTIFY + row))


def test_a_genre_whose_slug_is_longer_than_its_name(songs_file):
    import_songs(path=songs_file(HEADER + f"s1,One,Ana,,,{'ﷺ' * 80},,,\ns2,Two,Ana,,,{'ﷺ' * 79},,,\n"))
    longest = Genre._meta.get_field("slug").max_length
    assert all(len(slug) <= longest for slug in Genre.objects.values_list("slug", flat=True))
    assert Genre.objects.values("slug").distinct().count() == 2


def test_a_tag_too_long_to_be_a_word(songs_file):
    with pytest.raises(RowRejected, match=r"line 2, tags: .* has 101 signs; at most 100"):
        import_songs(path=songs_file(HEADER + f"s1,One,Ana,,,,live|{'x' * 101},,\n"))
    assert not Song.objects.exists()
