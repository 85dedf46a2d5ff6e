"""The plan of a world: everything in it, and the truth behind it, as arrays. No database, no clock."""

from dataclasses import dataclass

import numpy as np

from listening.world.catalogue import GENRES, Catalogue, Floats, Rows, plan_catalogue
from listening.world.events import History, Plays, Ratings, count_plays, plan_plays, plan_ratings
from listening.world.people import People, plan_people
from quasimusic.exceptions import ParameterOutOfRange

SEED, N_SONGS, N_LISTENERS, DAYS = 0, 2000, 500, 180


@dataclass(frozen=True, eq=False)
class World:
    """A planned world. Songs and listeners are rows; `affinity` is what the ratings and plays follow."""

    name: str
    days: int
    catalogue: Catalogue
    people: People
    plays: Plays
    history: History
    ratings: Ratings

    def affinity(self, listener_rows: Rows | slice = slice(None)) -> Floats:
        """How much these listeners truly like each song, float64 (k, n_songs): a log-odds, higher is better."""
        return self.people.affinity(self.catalogue, listener_rows)

    @property
    def genre_tastes(self) -> Floats:
        """Each listener's share of love for each genre, float64 (n_listeners, n_genres); rows sum to 1."""
        return self.people.genre_tastes


def plan_world(seed: int = SEED, n_songs: int = N_SONGS, n_listeners: int = N_LISTENERS, days: int = DAYS) -> World:
    """The same numbers give the same world. Raises ParameterOutOfRange."""
    for word, value, least in (
        ("seed", seed, 0),
        ("songs", n_songs, len(GENRES)),
        ("listeners", n_listeners, 1),
        ("days", days, 1),
    ):
        if value < least:
            raise ParameterOutOfRange(f"{word} is {value}; a world needs at least {least}")
    of_catalogue, of_people, of_plays, of_ratings = np.random.default_rng(seed).spawn(4)
    catalogue = plan_catalogue(n_songs, of_catalogue)
    people = plan_people(n_listeners, days, catalogue, of_people)
    plays = plan_plays(catalogue, people, days, of_plays)
    history = count_plays(plays, n_songs)
    return World(
        name=f"world-{seed}-{n_songs}-{n_listeners}-{days}",
        days=days,
        catalogue=catalogue,
        people=people,
        plays=plays,
        history=history,
        ratings=plan_ratings(catalogue, people, history, of_ratings),
    )
