"""Moods: planted ones are found, whatever is missing and in whatever order, and their names say what they are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.moods import NAMELESS, Sounds, continued, find_moods, gaps, name_moods, nearest, silhouette
from recommender.engines.tables import SongTable, Tables

FEATURES = ("energy", "valence", "acousticness", "tempo")
CORNERS = np.array(  # of seven planted moods, in the order of FEATURES
    [
        [0.9, 0.9, 0.1, 170],
        [0.9, 0.1, 0.1, 170],
        [0.1, 0.9, 0.9, 70],
        [0.1, 0.1, 0.9, 70],
        [0.9, 0.5, 0.9, 70],
        [0.1, 0.5, 0.1, 170],
        [0.5, 0.9, 0.5, 70],
    ]
)


def rng(seed=0):
    return np.random.default_rng(seed)


def songs_of(**columns) -> SongTable:
    n_songs = len(next(iter(columns.values())))
    return Tables.from_frames(songs=pd.DataFrame({"song_id": np.arange(n_songs), **columns})).songs


def planted(n_songs=280, seed=0):
    """Frame and truth: songs around the corners, which take turns."""
    truth = np.arange(n_songs) % len(CORNERS)
    spread = rng(seed).normal(0, 0.04, (n_songs, len(FEATURES))) * [1, 1, 1, 100]
    return pd.DataFrame(CORNERS[truth] + spread, columns=list(FEATURES)), truth


def same_division(one, other) -> bool:
    """Whether two labellings divide alike, whatever they call the parts."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


def sounds(vectors, known=None) -> Sounds:
    known = np.ones_like(vectors) if known is None else known
    return Sounds(vectors * known, known, np.full(vectors.shape[1], 1 / vectors.shape[1]))


def partial(seed, n_songs=30, n_dimensions=4):
    """Random points of which a third is unknown, at least one dimension known of each."""
    draw = rng(seed)
    known = (draw.random((n_songs, n_dimensions)) < 2 / 3).astype(float)
    known[np.arange(n_songs), draw.integers(n_dimensions, size=n_songs)] = 1
    return sounds(draw.normal(size=known.shape), known)


def test_planted_moods_are_found():
    frame, truth = planted()
    assert same_division(find_moods(songs_of(**frame), rng=rng()), truth)


def test_the_division_is_as_good_as_the_library_s():
    """On songs that lack nothing this is plain K-means."""
    vectors = rng().normal(size=(300, 4))
    found = find_moods(songs_of(**{f"feature_{i}": vectors[:, i] for i in range(4)}), rng=rng(), n_moods=(8, 8))
    standard = np.clip((vectors - vectors.mean(axis=0)) / vectors.std(axis=0), -3, 3)
    centres = np.array([standard[found == mood].mean(axis=0) for mood in range(8)])
    theirs = KMeans(8, n_init=10, random_state=0).fit(standard)
    assert ((standard - centres[found]) ** 2).sum() < 1.03 * theirs.inertia_


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_each_song_goes_to_the_nearest_centre_over_what_is_known_of_it(seed):
    points, centres = partial(seed), rng(seed).normal(size=(5, 4))
    for row, label in enumerate(nearest(points, centres)):
        known = points.known[row] > 0
        squares = [((points.vectors[row, known] - centre[known]) ** 2).sum() for centre in centres]
        assert squares[label] == pytest.approx(min(squares))


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_two_songs_are_compared_on_what_is_known_of_both(seed):
    points = partial(seed, n_songs=12)
    distances = gaps(points)
    for i in range(12):
        for j in range(12):
            both = (points.known[i] * points.known[j]) > 0
            squares = (points.vectors[i, both] - points.vectors[j, both]) ** 2
            slow = np.sqrt(squares.sum() / points.importance[both].sum()) if both.any() else 0.0
            assert distances[i, j] == pytest.approx(slow, abs=1e-6)


@given(st.integers(0, 1000), st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_silhouettes_are_the_library_s(seed, n_labels):
    vectors = rng(seed).normal(size=(40, 3))
    labels = np.append(np.arange(n_labels), rng(seed).integers(0, n_labels, 40 - n_labels))
    ours = silhouette(gaps(sounds(vectors)), labels)
    assert ours == pytest.approx(silhouette_score(vectors, labels), abs=1e-6)


def test_one_division_has_no_silhouette():
    assert silhouette(np.ones((3, 3)), np.zeros(3, dtype=np.int64)) == 0


def test_every_mood_is_nearest_to_its_own_songs():
    """Lloyd's rounds have come to rest."""
    frame = pd.DataFrame(rng().random((200, 4)), columns=list(FEATURES))
    found = find_moods(songs_of(**frame), rng=rng())
    standard = ((frame - frame.mean()) / frame.std(ddof=0)).to_numpy()
    centres = np.array([standard[found == mood].mean(axis=0) for mood in range(found.max() + 1)])
    assert (((standard[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1) == found).all()


@pytest.mark.parametrize("n_songs", [280, 2800])  # with and without a sample
def test_the_order_of_songs_does_not_matter(n_songs):
    frame = pd.DataFrame(rng(1).random((n_songs, 4)), columns=list(FEATURES)).assign(
        genre=rng(2).choice(["a", "b"], n_songs)
    )
    frame.loc[::5, "energy"] = np.nan
    shuffled = rng(3).permutation(n_songs)
    found = find_moods(songs_of(**frame), rng=rng())
    again = find_moods(songs_of(**frame.iloc[shuffled].reset_index(drop=True)), rng=rng())
    assert (again == found[shuffled]).all()


def test_what_is_missing_decides_nothing():
    frame, truth = planted(560)
    lacking = rng(1).random(frame.shape) < 0.15
    found = find_moods(songs_of(**frame.mask(lacking)), rng=rng())
    whole = ~lacking.any(axis=1)
    assert same_division(found[whole], truth[whole])
    # Songs that lack something are in no mood of their own: each goes where what is known of it belongs.
    moods = found[whole], truth[whole]
    mood_of = {corner: mood for mood, corner in zip(*moods, strict=True)}
    told = lacking.sum(axis=1) == 1
    agreeing = np.mean([found[row] == mood_of[truth[row]] for row in np.flatnonzero(told)])
    assert agreeing > 0.8


def test_a_column_that_few_songs_have_makes_no_mood():
    frame, truth = planted()
    frame["rumour"] = np.where(np.arange(len(frame)) < 50, rng().choice([-1.0, 1.0], len(frame)), np.nan)
    assert same_division(find_moods(songs_of(**frame), rng=rng()), truth)


def test_year_length_and_fame_make_no_mood():
    frame, truth = planted()
    frame[["year", "duration_ms", "popularity"]] = rng().choice([1.0, 2000.0], (len(frame), 3))
    assert same_division(find_moods(songs_of(**frame), rng=rng()), truth)


def test_a_song_known_by_its_genre_alone_goes_where_its_genre_is():
    frame, truth = planted()
    frame["genre"] = [f"genre {corner}" for corner in truth]
    frame.loc[:6, list(FEATURES)] = np.nan
    assert same_division(find_moods(songs_of(**frame), rng=rng()), truth)


def test_a_song_of_which_nothing_is_known_has_no_mood():
    frame, _ = planted()
    frame.loc[3] = np.nan
    found = find_moods(songs_of(**frame, year=np.full(len(frame), 1990)), rng=rng())
    assert found[3] == -1
    assert (np.delete(found, 3) >= 0).all()


@pytest.mark.parametrize(
    "columns", [{"energy": [0.5]}, {"energy": [0.5] * 50}, {"energy": [0.5] * 50, "genre": [""] * 50}]
)
def test_songs_that_do_not_differ_are_of_one_mood(columns):
    songs = songs_of(**columns)
    found = find_moods(songs, rng=rng())
    assert (found == 0).all()
    assert name_moods(songs, found) == (NAMELESS,)


def test_no_more_moods_than_there_are_sounds():
    songs = songs_of(energy=[0.2] * 30 + [0.8] * 30)
    found = find_moods(songs, rng=rng())
    assert same_division(found, np.repeat([0, 1], 30))
    assert set(name_moods(songs, found)) == {"calm", "energetic"}


def test_genres_alone_make_moods_too():
    genres = [f"genre {i % 9}" for i in range(180)]
    songs = songs_of(genre=genres)
    found = find_moods(songs, rng=rng())
    assert same_division(found, np.arange(180) % 9)
    assert set(name_moods(songs, found)) == set(genres)


@pytest.mark.filterwarnings("ignore::quasimusic.exceptions.TableWarning")
@pytest.mark.parametrize("columns", [{"title": ["a"]}, {"energy": [np.nan], "year": [1990]}, {"title": []}])
def test_songs_without_content_are_refused_by_name(columns):
    with pytest.raises(TableNeeded, match="songs with a genre"):
        find_moods(songs_of(**columns), rng=rng())


@pytest.mark.parametrize("n_moods", [(0, 3), (5, 4)])
def test_an_impossible_number_of_moods_is_refused(n_moods):
    with pytest.raises(ParameterOutOfRange, match="n_moods"):
        find_moods(songs_of(energy=[0.1, 0.2]), rng=rng(), n_moods=n_moods)


def test_moods_stand_over_other_chances():
    """Songs without clear moods: another seed would divide them otherwise, but for what stands."""
    songs = songs_of(**pd.DataFrame(rng().random((400, 4)), columns=list(FEATURES)))
    first, other = find_moods(songs, rng=rng(0)), find_moods(songs, rng=rng(5))
    assert not same_division(first, other)
    assert (find_moods(songs, rng=rng(5), before=first) == first).all()


def test_moods_that_stand_no_more_are_given_up():
    frame, truth = planted()
    nonsense = rng().integers(0, 7, len(frame))
    assert same_division(find_moods(songs_of(**frame), rng=rng(), before=nonsense), truth)


def test_a_new_song_joins_a_mood_that_stands():
    frame, _ = planted()
    before = find_moods(songs_of(**frame), rng=rng())
    more = pd.concat([frame, frame.iloc[:7] + 0.001], ignore_index=True)
    found = find_moods(songs_of(**more), rng=rng(), before=np.append(before, np.full(7, -1)))
    assert (found == np.append(before, before[:7])).all()


def test_a_mood_goes_on_in_the_one_that_has_most_of_its_songs():
    before = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -1])
    labels = np.array([1, 1, 1, 2, 0, 0, 0, 2, 2, 1, 2])
    assert continued(labels, before).tolist() == [1, 0, 2]


def test_half_a_mood_is_another_one():
    assert continued(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0])).tolist() == [-1, -1]


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), max_size=40))
def test_no_mood_goes_on_in_two(pairs):
    labels, before = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    followed = [mood for mood in continued(labels, before).tolist() if mood >= 0]
    assert len(followed) == len(set(followed))


def test_names_say_what_sets_a_mood_apart():
    frame, truth = planted()
    names = name_moods(songs_of(**frame), truth)
    assert len(set(names)) == len(CORNERS)
    assert set(names[0].split(", ")) < {"energetic", "happy", "electric", "fast"}
    assert set(names[3].split(", ")) < {"calm", "sad", "acoustic", "slow"}


def test_a_genre_that_dominates_is_part_of_the_name():
    frame, truth = planted()
    genres = np.where(truth == 3, "folk", "rock")
    name = name_moods(songs_of(**frame, genre=genres), truth)[3]
    assert name.endswith(" folk")


def test_loud_is_not_said_beside_energetic():
    songs = songs_of(energy=[0.1, 0.9], loudness=[-30.0, -3.0], valence=[0.4, 0.6])
    assert all(not {"energetic", "loud"} <= set(name.split(", ")) for name in name_moods(songs, np.array([0, 1])))


def test_what_most_music_is_sets_nothing_apart():
    songs = songs_of(instrumentalness=[0.0, 0.0, 0.9], valence=[0.2, 0.8, 0.5])
    assert name_moods(songs, np.arange(3)) == ("sad", "happy", "instrumental")


def test_half_the_songs_do_not_name_a_mood_by_their_genre():
    songs = songs_of(energy=[0.9] * 4 + [0.1], genre=["rock", "rock", "pop", "folk", "folk"])
    assert name_moods(songs, np.array([0, 0, 0, 0, 1])) == ("energetic", "calm folk")


def test_an_unknown_feature_is_named_high_or_low():
    songs = songs_of(deezer_arousal=[-1.0, 1.0])
    assert name_moods(songs, np.array([0, 1])) == ("low deezer arousal", "high deezer arousal")


def test_names_are_different_where_moods_are_not():
    songs = songs_of(energy=[0.9, 0.9, 0.1, 0.1])
    assert name_moods(songs, np.arange(4)) == ("energetic", "energetic 2", "calm", "calm 2")


def test_the_same_words_in_another_order_are_no_other_name():
    songs = songs_of(energy=[0.2, 0.1, 0.9], acousticness=[0.9, 0.8, 0.1], tempo=[70.0, 90.0, 170.0])
    assert name_moods(songs, np.arange(3))[1] == "calm, acoustic"
    assert name_moods(songs, np.arange(3), kept={2: "acoustic, calm"})[1] == "calm, acoustic, slow"


def test_a_name_that_is_kept_is_given_to_no_other():
    songs = songs_of(energy=[0.9, 0.9, 0.1])
    assert name_moods(songs, np.arange(3), kept={1: "energetic"}) == ("energetic 2", "energetic", "calm")


def test_songs_that_differ_only_in_what_is_known_of_them_are_of_one_mood():
    sounds = np.tile([[0.0] * 3, [1.0] * 3], (120, 1))
    for column in range(3):
        sounds[8 * column : 8 * column + 8, column] = np.nan
    frame = pd.DataFrame(sounds, columns=["energy", "valence", "acousticness"]).assign(song_id=np.arange(240))
    labels = find_moods(Tables.from_frames(songs=frame).songs, rng=np.random.default_rng(0))
    assert len(set(labels[::2])) == len(set(labels[1::2])) == 1
    assert labels[0] != labels[1]
