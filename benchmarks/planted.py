"""A planted world of ratings: known biases and tastes under noise, as unevenly spread as real ratings are."""

import numpy as np
import pandas as pd

RANK = 12
TASTE = 0.55  # standard deviation of what tastes add to a rating, in stars
NOISE = 0.85  # of what nothing explains
BIAS = 0.42  # of the listeners' biases and of the songs'


def ratings(
    seed: int, n_listeners: int = 943, n_songs: int = 1682, n_ratings: int = 100_000, rank: int = RANK
) -> pd.DataFrame:
    """About `n_ratings` ratings, whole stars 1..5, columns user_id, song_id, rating; less where pairs fall together.

    Who rates and what is rated follow power laws. Songs that are rated often are better, and tastes have strong and
    weak directions, so that there is something to learn of listeners and songs at large.
    """
    rng = np.random.default_rng(seed)
    busy, fame = rng.pareto(1.2, n_listeners) + 0.5, rng.pareto(0.9, n_songs) + 0.2
    busy, fame = np.minimum(busy, 12.0), np.minimum(fame, 12.0)
    pairs = _pairs(busy / busy.sum(), fame / fame.sum(), n_ratings, rng)
    listeners, songs = pairs // n_songs, pairs % n_songs
    strength = 0.8 ** np.arange(rank)
    tastes, sounds = (_directions(n, strength, rng) for n in (n_listeners, n_songs))
    products = np.einsum("pk,pk->p", tastes[listeners], sounds[songs])
    quality = 0.3 * (np.log(fame) - np.log(fame).mean())
    biases = rng.normal(0, BIAS, n_listeners)[listeners] + (quality + rng.normal(0, BIAS, n_songs))[songs]
    stars = 3.4 + biases + TASTE * products / products.std() + rng.normal(0, NOISE, len(pairs))
    return pd.DataFrame({"user_id": listeners, "song_id": songs, "rating": stars.round().clip(1, 5)})


def _pairs(busy: np.ndarray, fame: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct (listener, song) pairs as listener * n_songs + song, int64."""
    drawn = rng.choice(len(busy), 2 * n, p=busy) * len(fame) + rng.choice(len(fame), 2 * n, p=fame)
    _, first = np.unique(drawn, return_index=True)
    return drawn[np.sort(first)[:n]]


def _directions(n: int, strength: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (n, rank), each coordinate as strong as told."""
    return rng.normal(0, 1, (n, len(strength))) * strength
