"""The nearest songs by way of the index, against looking at all of them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recommender.engines import coolstart, nearest
from recommender.engines.artefacts import load, save
from recommender.engines.coolstart import CoolStart
from recommender.engines.nearest import Nearest, graph_of
from recommender.engines.points import likeness
from recommender.engines.tables import Tables
from tests.engines.test_points import make_points, make_weights

N = 3000
EVERY = np.arange(N)
IMPORTANCE = np.array([0.4, 0.3, 0.3, 1.0, 1.0, 0.25])


@pytest.fixture(scope="module")
def songs():
    return make_points(0, N, missing=0.2, importance=IMPORTANCE)


@pytest.fixture(scope="module")
def graph(songs):
    return graph_of(songs)


@pytest.fixture(scope="module")
def middles(songs):
    weights = make_weights(1, 60, N)
    weights.data[weights.data < 0.99] = 0.0  # some ten songs each
    weights.eliminate_zeros()
    return songs.middles(weights)


@pytest.fixture
def few_candidates(monkeypatch):
    """As few beside the songs there are as in a large catalogue."""
    monkeypatch.setattr(nearest, "N_CANDIDATES", 100)


def none_barred(m):
    return sparse.csr_array((m, N))


def slow_best(middles, songs, n, barred):
    block = likeness(middles, songs).astype(np.float64)
    block[barred.toarray() > 0] = np.nan
    return -np.sort(-block, axis=1)[:, :n]


@pytest.mark.usefixtures("few_candidates")
def test_the_index_finds_what_is_nearest(songs, graph, middles):
    barred = none_barred(len(middles))
    rows, likenesses = Nearest.of(songs, graph, EVERY).best(middles, 10, barred)
    least = slow_best(middles, songs, 10, barred)[:, [-1]]
    assert (likenesses >= least - 1e-5).mean() > 0.97
    found = np.take_along_axis(likeness(middles, songs), rows, axis=1)
    assert np.allclose(found, likenesses, atol=1e-5)


def test_all_songs_are_looked_at_without_an_index(songs, middles):
    barred = sparse.csr_array(sparse.random_array((len(middles), N), density=0.3, rng=np.random.default_rng(0)))
    rows, likenesses = Nearest.of(songs, None, EVERY).best(middles, 10, barred)
    assert np.allclose(likenesses, slow_best(middles, songs, 10, barred), atol=1e-5)
    assert not barred.toarray()[np.arange(len(rows))[:, None], rows].any()


@pytest.mark.usefixtures("few_candidates")
def test_what_is_barred_is_not_found(songs, graph, middles):
    found = Nearest.of(songs, graph, EVERY)
    first, _ = found.best(middles, 50, none_barred(len(middles)))
    barred = sparse.csr_array(
        (np.ones(first.size), (np.repeat(np.arange(len(first)), 50), first.ravel())), shape=(len(first), N)
    )
    barred.sort_indices()
    rows, likenesses = found.best(middles, 10, barred)
    assert not (rows[:, :, None] == first[:, None, :]).any()
    assert (likenesses >= slow_best(middles, songs, 10, barred)[:, [-1]] - 1e-5).mean() > 0.95


def test_whoever_has_heard_nearly_all_gets_the_rest(songs, graph, middles):
    left = np.array([7, 70, 700])
    heard = np.ones((1, N))
    heard[:, left] = 0.0
    rows, likenesses = Nearest.of(songs, graph, EVERY).best(middles.rows([0]), 5, sparse.csr_array(heard))
    assert set(rows[0, np.isfinite(likenesses[0])]) <= set(left)
    assert (rows[0, 3:] == -1).all()


@pytest.mark.usefixtures("few_candidates")
def test_songs_that_came_and_went_since(songs, graph, middles):
    """The first ten songs of today are new, the last ten of the index are gone, all others have moved."""
    places = np.r_[EVERY[-10:], EVERY[:-10]]
    today = songs.rows(places)
    indexed = np.r_[EVERY[10:], np.full(10, -1)]
    moved = replace(middles, songs=today)
    barred = none_barred(len(middles))
    found = Nearest.of(today, graph, indexed)
    assert np.array_equal(found.others, np.flatnonzero(today.known[:10].any(axis=1)))
    rows, likenesses = found.best(moved, 10, barred)
    assert (likenesses >= slow_best(moved, today, 10, barred)[:, [-1]] - 1e-5).mean() > 0.97
    assert ((rows >= 0) & (rows < N)).all()


def test_an_outgrown_index_is_left_alone(songs, graph, middles, monkeypatch):
    monkeypatch.setattr(nearest, "MOST_OTHERS", 5)
    indexed = np.where(EVERY < 10, -1, EVERY)
    outgrown = Nearest.of(songs, graph, indexed)
    assert outgrown.index is None
    barred = none_barred(len(middles))
    assert np.allclose(outgrown.best(middles, 10, barred)[1], slow_best(middles, songs, 10, barred), atol=1e-5)


def test_one_graph_of_one_catalogue(songs, graph):
    assert np.array_equal(graph, graph_of(songs))


def test_alone_together_and_side_by_side(songs, graph, middles):
    found = Nearest.of(songs, graph, EVERY)
    rows, likenesses = found.best(middles, 10, none_barred(len(middles)))

    def alone(row):
        return found.best(middles.rows([row]), 10, none_barred(1))

    with ThreadPoolExecutor(8) as pool:
        for row, (own_rows, own_likenesses) in enumerate(pool.map(alone, range(len(middles)))):
            assert np.array_equal(own_rows[0], rows[row])
            assert np.array_equal(own_likenesses[0], likenesses[row], equal_nan=True)


def test_nobody_and_nothing_to_go_by(songs, graph, middles):
    found = Nearest.of(songs, graph, EVERY)
    assert found.best(middles.rows(slice(0)), 4, none_barred(0))[0].shape == (0, 4)
    empty = songs.middles(sparse.csr_array((2, N)))
    assert (found.best(empty, 4, none_barred(2))[0] == -1).all()


def test_the_engine_of_a_large_catalogue_lists_as_that_of_a_small_one(world, planted, monkeypatch, tmp_path):
    small = CoolStart.fit(planted, rng=np.random.default_rng(0))
    monkeypatch.setattr(coolstart, "INDEXED_FROM", 100)
    large = CoolStart.fit(planted, rng=np.random.default_rng(0))
    assert "graph" not in small.state
    assert large.state["graph"].dtype == np.uint8
    save(tmp_path / "model", large)
    grown = Tables.from_frames(songs=world.songs[::-1], history=world.history, ratings=world.ratings, users=world.users)
    listeners, current = world.users["user_id"], world.songs["song_id"].iloc[3]
    for engine in (large, load(tmp_path / "model", planted), large.on(grown)):
        for song in (None, current):
            scores = engine.recommend(listeners, 7, current_song=song)[1]
            assert np.allclose(scores, small.recommend(listeners, 7, current_song=song)[1])
    assert np.array_equal(large.nearest(5)[0], small.nearest(5)[0])
