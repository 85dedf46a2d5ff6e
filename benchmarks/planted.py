"""Planted worlds, as unevenly spread as real ones: ratings with known biases and tastes under noise, and listening by
tastes that songs sound like."""

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


def listening(
    seed: int, n_listeners: int = 300, n_songs: int = 600, n_tastes: int = 6, loyalty: float = 0.8
) -> dict[str, pd.DataFrame]:
    """Songs and history: each listener plays songs in proportion to their fame, `loyalty` of it of one own taste.

    A taste has its artists and, under noise, its sound; fame is known as popularity, rounded.
    """
    rng = np.random.default_rng(seed)
    tastes, fame = np.arange(n_songs) % n_tastes, np.minimum(rng.pareto(1.5, n_songs) + 0.3, 12.0)
    sound = rng.normal(0, 1, (n_tastes, 4))[tastes] + rng.normal(0, 1, (n_songs, 4))
    artists = [f"artist {taste}-{number}" for taste, number in zip(tastes, rng.integers(0, 20, n_songs), strict=True)]
    songs = pd.DataFrame({"song_id": np.arange(n_songs), "artist": artists, "popularity": np.round(100 * fame / 12)})
    heard = []
    for listener in range(n_listeners):
        own = tastes == listener % n_tastes
        chances = fame * np.where(own, loyalty, (1 - loyalty) / (n_tastes - 1))
        played = rng.choice(n_songs, rng.integers(10, 40), replace=False, p=chances / chances.sum())
        repetition = rng.geometric(np.where(own[played], 0.3, 0.8))
        heard.append(pd.DataFrame({"user_id": listener, "song_id": played, "repetition": repetition}))
    features = pd.DataFrame(sound, columns=["energy", "valence", "danceability", "acousticness"])
    return {"songs": songs.join(features), "history": pd.concat(heard, ignore_index=True)}


def _pairs(busy: np.ndarray, fame: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct (listener, song) pairs as listener * n_songs + song, int64."""
    drawn = rng.choice(len(busy), 2 * n, p=busy) * len(fame) + rng.choice(len(fame), 2 * n, p=fame)
    _, first = np.unique(drawn, return_index=True)
    return drawn[np.sort(first)[:n]]


def _directions(n: int, strength: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (n, rank), each coordinate as strong as told."""
    return rng.normal(0, 1, (n, len(strength))) * strength
