"""A folder of tables through the command: listeners, history and ratings on top of songs."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.grants import LISTENERS
from accounts.models import Listener
from catalog.models import Song
from catalog.reading import stage
from listening.importing import HISTORY_COLUMNS, import_dataset
from listening.models import History, Pick, Play, Rating
from quasimusic.exceptions import FileRejected, RowRejected

pytestmark = pytest.mark.django_db

SONGS = "song_id,title,artist,energy\ns1,One,Ana,0.1\ns2,Two,Ana,0.2\ns3,Three,Bo,0.3\n"
HISTORY = (
    "user_id,song_id,repetition,last_played_at\n"
    "u1,s1,3,2024-05-01T10:00:00\nu1,s2,1.0,\nu2,s1,7,2024-05-01T10:00:00+02:00\n"
)
RATINGS = "user_id,song_id,rating,rated_at\nu1,s1,5,2024-05-01T10:00:00Z\nu3,s3,1,\n"


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, content in files.items():
            (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
        return tmp_path

    return write


def import_quietly(folder):
    out, err = StringIO(), StringIO()
    call_command("import_dataset", str(folder), verbosity=0, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def rows(model):
    return list(model.objects.order_by("pk").values())


def test_a_folder_comes_in_whole(folder):
    out, _err = import_quietly(folder(songs=SONGS, history=HISTORY, ratings=RATINGS))
    assert "songs: 3 new, 0 changed, 0 unchanged" in out
    assert "history: 3 new" in out
    assert "listeners: 3 new" in out
    one = History.objects.get(listener__username="u1", song__source_id="s1")
    assert (one.repetition, one.last_played_at) == (3, datetime(2024, 5, 1, 10, tzinfo=UTC))
    other = History.objects.get(listener__username="u2")
    assert other.last_played_at == datetime(2024, 5, 1, 8, tzinfo=UTC)
    assert History.objects.get(song__source_id="s2").last_played_at is None
    assert set(Rating.objects.values_list("rating", flat=True)) == {1, 5}
    assert not Play.objects.exists()


def test_the_same_folder_twice_changes_nothing(folder):
    everything = (Song, Listener, History, Rating)
    import_quietly(folder(songs=SONGS, history=HISTORY, ratings=RATINGS))
    before = [rows(model) for model in everything]
    out, _err = import_quietly(folder())
    assert "history: 0 new, 0 changed, 3 unchanged" in out
    assert "ratings: 0 new, 0 changed, 2 unchanged" in out
    assert [rows(model) for model in everything] == before


def test_imported_listeners_cannot_log_in_and_are_listeners(folder):
    import_quietly(folder(songs=SONGS, history=HISTORY))
    for listener in Listener.objects.all():
        assert not listener.has_usable_password()
        assert [group.name for group in listener.groups.all()] == [LISTENERS]


def test_users_bring_names_countries_and_picks(folder):
    users = "user_id,username,country,genres,songs\nu1,ana.b,it,pop|jazz,s2\nu2,,,,\n"
    import_quietly(folder(songs=SONGS, users=users, history=HISTORY))
    ana = Listener.objects.get(username="ana.b")
    assert (ana.source_id, ana.country.code) == ("u1", "IT")
    assert History.objects.filter(listener=ana).count() == 2
    assert set(Pick.objects.values_list("listener__username", "genre__name", "song__source_id")) == {
        ("ana.b", "pop", None),
        ("ana.b", "jazz", None),
        ("ana.b", None, "s2"),
    }
    before = rows(Pick), rows(Listener)
    out, _err = import_quietly(folder())
    assert "listeners: 0 new, 0 changed, 2 unchanged" in out
    assert (rows(Pick), rows(Listener)) == before
    # A later folder without users.csv still means the same person.
    (folder() / "users.csv").unlink()
    import_quietly(folder())
    assert Listener.objects.count() == 2


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ("user_id,username\nu1,anna\n", "line 2, username.*another listener"),
        ("user_id\nanna\n", "line 2, user_id.*another listener"),
        ("user_id,username\nu1,bo\nu2,bo\n", "line 2, username.*two listeners"),
        ("user_id,username\nu1,bo bo\n", "line 2, username.*letters"),
        ("user_id\nbo bo\n", "line 2, user_id.*give a username"),
        ("user_id,country\nu1,Atlantis\n", "line 2, country.*ISO 3166"),
        ("user_id,songs\nu1,s9\n", "line 2, songs.*'s9'"),
        ("user_id\nu1\nu1\n", "line 3, user_id.*line 2"),
    ],
)
def test_users_that_cannot_be_are_named(folder, users, words):
    anna = Listener.objects.create_user("anna")
    with pytest.raises(RowRejected, match=words):
        import_dataset(folder=folder(users=users))
    assert list(Listener.objects.all()) == [anna]


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        *(("ratings", f"u1,s1,{bad},", "line 2, rating.*from 1 to 5") for bad in ("0", "6", "7", "abc", "2.5", "nan")),
        ("ratings", "u1,s1,,", "line 2, rating: blank"),
        *(
            ("history", f"u1,s1,{bad},", "line 2, repetition.*from 1 to 1000000")
            for bad in ("0", "-1", "1.5", "1e12", "inf")
        ),
        ("history", "u1,s9,1,", "line 2, song_id.*'s9'.*songs.csv"),
        ("ratings", "u1,s9,1,", "line 2, song_id.*'s9'"),
        ("history", "u1,s1,1,yesterday", "line 2, last_played_at.*time such as"),
        ("history", "u1,s1,1,\nu1,s1,2,", "line 3, user_id and song_id.*line 2"),
    ],
)
def test_a_bad_event_is_named_and_its_file_left_out(folder, table, row, words):
    header = {"history": "user_id,song_id,repetition,last_played_at", "ratings": "user_id,song_id,rating,rated_at"}
    path = folder(songs=SONGS, **{table: f"{header[table]}\n{row}\nu2,s2,1,\n"})
    with pytest.raises(RowRejected, match=words):
        import_dataset(folder=path)
    assert Song.objects.count() == 3
    assert not any(model.objects.exists() for model in (History, Rating, Listener))


def test_plays_counted_here_come_on_top_of_the_file(folder):
    import_quietly(folder(songs=SONGS, history=HISTORY))
    history = History.objects.get(listener__username="u1", song__source_id="s1")
    now = timezone.now()
    for counted in (True, False):
        Play.objects.create(
            listener=history.listener,
            song=history.song,
            key=uuid4(),
            started_at=now,
            seconds_heard=20,
            counted=counted,
            source=Play.Source.HOME,
        )
    import_quietly(folder())
    history.refresh_from_db()
    assert (history.repetition, history.last_played_at) == (4, now)


def test_a_rating_given_later_here_stays(folder):
    import_quietly(folder(songs=SONGS, ratings=RATINGS))
    mine = Rating.objects.get(listener__username="u1")
    Rating.objects.filter(pk=mine.pk).update(rating=2, rated_at=mine.rated_at + timedelta(days=1))
    import_quietly(folder())
    assert Rating.objects.get(pk=mine.pk).rating == 2


def test_spotify_features_are_known_by_their_header(folder):
    header = "genre,artist_name,track_name,track_id,energy"
    path = folder(anything=f"{header}\nPop,Ana,One,t1,0.5\n", notes="a,b\n1,2\n")
    import_quietly(path)
    assert Song.objects.get().source_id == "t1"


def test_a_folder_with_nothing_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileRejected, match=r"songs\.csv, users\.csv, history\.csv, ratings\.csv.*SpotifyFeatures"):
        import_dataset(folder=tmp_path)
    with pytest.raises(FileRejected, match="no folder"):
        import_dataset(folder=tmp_path / "absent")


@pytest.mark.parametrize("name", ["songs.csv", "history.csv"])
def test_a_folder_in_place_of_a_file_is_no_table(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(FileRejected, match=f"{name} cannot be read"):
        import_dataset(folder=tmp_path)


def test_the_command_warns_and_goes_on_and_turns_a_fault_into_one_message(folder):
    _out, err = import_quietly(folder(songs="song_id,title,artist,label\ns1,One,Ana,X\n"))
    assert "ColumnIgnored: songs.csv" in err
    with pytest.raises(CommandError, match=r"songs\.csv, line 1: no column artist"):
        import_quietly(folder(songs="song_id,title\ns1,One\n"))


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Eight times the rows, checked and staged, take about the same memory."""
    peaks = []
    for n_rows in (5_000, 40_000):
        path = tmp_path / "history.csv"
        with path.open("w") as file:
            file.write("user_id,song_id,repetition\n")
            file.writelines(f"user{row % 997},song{row},{row % 9 + 1}\n" for row in range(n_rows))
        tracemalloc.start()
        with stage(path, HISTORY_COLUMNS, key=["user_id", "song_id"]) as staged:
            assert sum(len(chunk) for chunk in staged.chunks(order="key")) == n_rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00", "1969-12-31T23:00:00Z", "9998-01-01", "2999-05-01T10:00:00Z"]
)
@pytest.mark.parametrize(
    ("table", "number", "column"), [("history", "repetition", "last_played_at"), ("ratings", "rating", "rated_at")]
)
def test_what_nobody_can_have_heard_then(folder, table, number, column, moment):
    rows = f"user_id,song_id,{number},{column}\nu1,s1,3,{moment}\n"
    with pytest.raises(RowRejected, match=f"{table}.csv, line 2, {column}: .* between 1970 and now"):
        import_dataset(folder=folder(songs=SONGS, **{table: rows}))
    assert not Listener.objects.exists()


def test_a_genre_picked_whose_name_is_too_long(folder):
    users = f"user_id,username,genres\nu1,ada,pop|{'x' * 81}\n"
    with pytest.raises(RowRejected, match=r"users.csv, line 2, genres: .* has 81 signs; at most 80"):
        import_dataset(folder=folder(songs=SONGS, users=users))
    assert not Listener.objects.exists()
