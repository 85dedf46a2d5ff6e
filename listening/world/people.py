"""Listeners of a world and the taste planted in each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listening.world.catalogue import COUNTRIES, COUNTRY_SHARES, HIDDEN, Catalogue, Floats, Rng, Rows
from listening.world.names import PEOPLE, distinct

STRANGE = 0.03  # what a genre outside the taste is worth, beside shares that sum to 1
NEWCOMERS = 0.04  # share of listeners who have picked genres and played nothing yet


@dataclass(frozen=True, eq=False)
class People:
    """Listeners (m) and their planted tastes.

    genre_tastes : float64 (m, g), shares of the one to three genres a listener loves; rows sum to 1.
    ideals : float64 (m, 9), the sound each likes best, on the scale of `Catalogue.sound`.
    hidden : float64 (m, HIDDEN), taste that no feature tells.
    eras : float64 (m,), the year of the music each is fondest of.
    mainstream : float64 (m,), how far fame sways what is played (not what is liked).
    novelty : float64 (m,), chance that a play is of a song not heard before.
    activity : int64 (m,), plays over the whole time; 0 for newcomers.
    rates : float64 (m,), share of heard songs that each rates.
    """

    names: list[str]
    countries: NDArray[np.str_]
    genre_tastes: Floats
    ideals: Floats
    hidden: Floats
    eras: Floats
    mainstream: Floats
    novelty: Floats
    activity: Rows
    rates: Floats

    def __len__(self) -> int:
        return len(self.names)

    def affinity(self, catalogue: Catalogue, rows: Rows | slice = slice(None)) -> Floats:
        """How much these listeners truly like each song, float64 (k, n): a log-odds, higher is better."""
        sound = catalogue.sound()
        ideals = self.ideals[rows]
        distance = (ideals**2).sum(axis=1)[:, None] - 2 * ideals @ sound.T + (sound**2).sum(axis=1)
        affinity: Floats = np.log(self.genre_tastes[rows][:, catalogue.song_genres] + STRANGE)
        affinity -= 0.9 * distance / sound.shape[1]
        affinity += 0.9 * self.hidden[rows] @ catalogue.hidden.T / np.sqrt(HIDDEN)
        affinity -= 0.5 * ((catalogue.years - self.eras[rows][:, None]) / 16) ** 2
        affinity += 0.7 * (self.countries[rows][:, None] == catalogue.song_countries)
        return affinity


def plan_people(n_listeners: int, days: int, catalogue: Catalogue, rng: Rng) -> People:
    tastes = _genre_tastes(n_listeners, len(catalogue.genre_names), rng)
    sound, years = _usual(catalogue)
    activity = np.clip(rng.lognormal(np.log(90), 0.7, n_listeners) * days / 180, 5, 1000).astype(np.int64)
    activity[rng.random(n_listeners) < NEWCOMERS] = 0
    return People(
        names=distinct(PEOPLE, n_listeners, rng),
        countries=rng.choice(COUNTRIES, n_listeners, p=COUNTRY_SHARES),
        genre_tastes=tastes,
        ideals=tastes @ sound + rng.normal(0, 0.7, (n_listeners, sound.shape[1])),
        hidden=rng.normal(0, 1, (n_listeners, HIDDEN)),
        eras=tastes @ years + rng.normal(0, 8, n_listeners),
        mainstream=rng.gamma(2.0, 0.35, n_listeners),
        novelty=rng.beta(5, 4, n_listeners),
        activity=activity,
        rates=rng.beta(1.3, 3, n_listeners),
    )


def _genre_tastes(n_listeners: int, n_genres: int, rng: Rng) -> Floats:
    """One to three genres each, one of them loved most."""
    n_loved = rng.choice([1, 2, 3], n_listeners, p=[0.25, 0.45, 0.3])
    places = np.argsort(np.argsort(rng.random((n_listeners, n_genres)), axis=1), axis=1)
    love = rng.gamma(3.0, 1.0, (n_listeners, n_genres)) * (places < n_loved[:, None])
    tastes: Floats = love / love.sum(axis=1, keepdims=True)
    return tastes


def _usual(catalogue: Catalogue) -> tuple[Floats, Floats]:
    """Mean sound and mean year of each genre."""
    sound = catalogue.sound()
    genres = [catalogue.song_genres == genre for genre in range(len(catalogue.genre_names))]
    means = [sound[songs].mean(axis=0) if songs.any() else np.zeros(sound.shape[1]) for songs in genres]
    years = [catalogue.years[songs].mean() if songs.any() else catalogue.years.mean() for songs in genres]
    return np.array(means), np.array(years)
