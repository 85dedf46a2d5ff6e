"""On a planted world, where the truth is known, the engines must find it."""

import numpy as np
import pandas as pd
import pytest

from listening.world.plan import plan_world
from recommender.engines import ENGINES
from recommender.engines.tables import Tables

LISTED = 20


@pytest.fixture(scope="module")
def world():
    return plan_world(seed=5, n_songs=600, n_listeners=200, days=180)


@pytest.fixture(scope="module")
def tables(world):
    catalogue, history, ratings = world.catalogue, world.history, world.ratings
    songs = pd.DataFrame(
        {
            "song_id": np.arange(len(catalogue)),
            "genre": np.array(catalogue.genre_names)[catalogue.song_genres],
            "year": catalogue.years,
            "popularity": catalogue.popularity,
            **catalogue.features,
        }
    )
    heard = pd.DataFrame({"user_id": history.listeners, "song_id": history.songs, "repetition": history.repetition})
    rated = pd.DataFrame({"user_id": ratings.listeners, "song_id": ratings.songs, "rating": ratings.ratings})
    return Tables.from_frames(songs=songs, history=heard, ratings=rated)


def true_affinity_of_lists(name, world, tables):
    """Mean of how much listeners truly like what they are recommended and have never heard."""
    engine = ENGINES[name].fit(tables, rng=np.random.default_rng(0))
    listeners = tables.users.ids.to_numpy()
    songs, _scores = engine.recommend(listeners, LISTED)
    return np.take_along_axis(world.affinity(listeners), songs, axis=1).mean()


@pytest.mark.parametrize("name", ["coolstart", "weighted_mf", "user_based", "item_based"])
def test_an_engine_that_knows_the_listener_finds_what_is_truly_liked(name, world, tables):
    affinity = world.affinity()
    found = true_affinity_of_lists(name, world, tables)
    popular = true_affinity_of_lists("relevance", world, tables)
    # Halfway or more from a song drawn at random to the best that could be listed.
    best = np.sort(affinity, axis=1)[:, -LISTED:].mean()
    assert found > (affinity.mean() + best) / 2
    assert found > popular + affinity.std() / 2
