"""Artists, albums and songs of a world: a genre has a sound, an artist leans away from it, a song from both."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.features import FEATURES
from listening.world.names import ALBUMS, ARTISTS, SONGS, any_of, distinct

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Rng = np.random.Generator

SONGS_AN_ARTIST = 12
SONGS_AN_ALBUM = 8
SINGLES = 0.12  # share of songs on no album
HIDDEN = 4  # dimensions of taste that no feature tells: what only other listeners' ears know

COUNTRIES = ("IT", "GB", "US", "DE", "FR", "ES", "BR", "JP", "SE", "NG", "IN", "PT")
COUNTRY_SHARES = np.array([0.14, 0.13, 0.13, 0.11, 0.1, 0.09, 0.08, 0.06, 0.05, 0.04, 0.04, 0.03])

# Of each genre: (year, bpm, dB, chance of a major key, minutes) and the usual value of each of SHARES.
SHARES = ("energy", "acousticness", "instrumentalness", "danceability", "valence", "speechiness", "liveness")
GENRES = {
    "ambient": ((2006, 78, -19, 0.55, 5.6), (0.16, 0.80, 0.88, 0.25, 0.18, 0.04, 0.11)),
    "blues": ((1972, 104, -10, 0.70, 4.1), (0.45, 0.55, 0.12, 0.52, 0.55, 0.05, 0.24)),
    "classical": ((1988, 92, -21, 0.62, 6.2), (0.14, 0.94, 0.84, 0.28, 0.22, 0.04, 0.13)),
    "country": ((1994, 118, -7, 0.90, 3.4), (0.60, 0.36, 0.02, 0.57, 0.62, 0.04, 0.18)),
    "electronic": ((2012, 127, -6, 0.48, 4.6), (0.80, 0.06, 0.58, 0.71, 0.42, 0.07, 0.16)),
    "folk": ((1996, 112, -12, 0.82, 3.7), (0.33, 0.76, 0.08, 0.47, 0.42, 0.04, 0.14)),
    "hip hop": ((2010, 96, -6, 0.52, 3.6), (0.66, 0.17, 0.03, 0.76, 0.50, 0.27, 0.19)),
    "jazz": ((1969, 116, -13, 0.58, 5.1), (0.36, 0.74, 0.52, 0.54, 0.48, 0.05, 0.20)),
    "metal": ((2003, 134, -5, 0.44, 4.7), (0.93, 0.02, 0.22, 0.38, 0.27, 0.08, 0.26)),
    "pop": ((2014, 119, -6, 0.66, 3.4), (0.70, 0.19, 0.02, 0.67, 0.58, 0.06, 0.17)),
    "reggae": ((1986, 138, -8, 0.68, 3.9), (0.58, 0.20, 0.06, 0.75, 0.76, 0.10, 0.17)),
    "rock": ((1991, 126, -7, 0.72, 4.0), (0.77, 0.13, 0.11, 0.50, 0.52, 0.06, 0.22)),
}
MOODS = (  # a tag, the feature that earns it, from where, upwards or downwards
    ("restless", "energy", 0.85, 1),
    ("unplugged", "acousticness", 0.8, 1),
    ("wordless", "instrumentalness", 0.7, 1),
    ("for dancing", "danceability", 0.75, 1),
    ("sunny", "valence", 0.75, 1),
    ("melancholy", "valence", 0.2, -1),
    ("live", "liveness", 0.5, 1),
    ("slow", "tempo", 80, -1),
)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Artists (a), albums (b) and songs (n); `song_*` arrays are (n,), rows point into the lists above them.

    features : float64 of each song by feature name, in the range of `catalog.features`.
    fame : float64 (n,), standardised; popularity is its long-tailed face, 0..100.
    hidden : float64 (n, HIDDEN), what no feature tells.
    """

    artist_names: list[str]
    artist_countries: NDArray[np.str_]
    album_titles: list[str]
    album_artists: Rows
    album_years: Rows
    genre_names: tuple[str, ...]
    song_titles: list[str]
    song_artists: Rows
    song_albums: Rows  # -1: on none
    song_genres: Rows
    song_tags: list[list[str]]
    years: Rows
    durations_ms: Rows
    popularity: Floats
    fame: Floats
    features: dict[str, Floats]
    hidden: Floats

    def __len__(self) -> int:
        return len(self.song_titles)

    @property
    def song_countries(self) -> NDArray[np.str_]:
        return self.artist_countries[self.song_artists]

    def sound(self) -> Floats:
        """What the ear goes by, standardised, float64 (n, 9)."""
        columns = np.column_stack([self.features[name] for name in (*SHARES, "loudness", "tempo")])
        sound: Floats = (columns - columns.mean(axis=0)) / np.maximum(columns.std(axis=0), 1e-9)
        return sound


def plan_catalogue(n_songs: int, rng: Rng) -> Catalogue:
    n_artists = max(len(GENRES), n_songs // SONGS_AN_ARTIST)
    # Every genre has its artists; the first song of each artist is certain, the others fall as they may.
    artist_genres = rng.permutation(np.arange(n_artists) % len(GENRES))
    productivity = rng.lognormal(0, 0.6, n_artists)
    further = rng.choice(n_artists, size=max(n_songs - n_artists, 0), p=productivity / productivity.sum())
    song_artists = np.sort(np.concatenate([np.arange(n_artists)[:n_songs], further]))
    song_genres = artist_genres[song_artists]
    song_albums, album_artists = _albums(song_artists, rng)
    usual = np.array([facts for facts, _shares in GENRES.values()], dtype=np.float64)
    debut = usual[artist_genres, 0] + rng.normal(0, 9, n_artists)
    album_years = _years(debut[album_artists] + rng.exponential(6, len(album_artists)))
    single_years = _years(debut[song_artists] + rng.exponential(6, n_songs))
    lean = rng.normal(0, 1, (n_artists, len(SHARES) + 2))
    features = _features(song_genres, lean[song_artists], rng)
    artist_fame = rng.normal(0, 1, n_artists)
    fame = 0.8 * artist_fame[song_artists] + 0.6 * rng.normal(0, 1, n_songs)
    artist_hidden = rng.normal(0, 1, (n_artists, HIDDEN))
    return Catalogue(
        artist_names=distinct(ARTISTS, n_artists, rng),
        artist_countries=rng.choice(COUNTRIES, n_artists, p=COUNTRY_SHARES),
        album_titles=_album_titles(album_artists, rng),
        album_artists=album_artists,
        album_years=album_years,
        genre_names=tuple(GENRES),
        song_titles=any_of(SONGS, n_songs, rng),
        song_artists=song_artists,
        song_albums=song_albums,
        song_genres=song_genres,
        song_tags=_tags(features),
        years=np.where(song_albums >= 0, np.append(album_years, 0)[song_albums], single_years),
        durations_ms=_durations(usual[song_genres, 4], rng),
        popularity=_popularity(fame),
        fame=fame,
        features=features,
        hidden=artist_hidden[song_artists] + 0.4 * rng.normal(0, 1, (n_songs, HIDDEN)),
    )


def _albums(song_artists: Rows, rng: Rng) -> tuple[Rows, Rows]:
    """Each song's album (-1: a single), and each album's artist. Songs come sorted by artist."""
    place = np.arange(len(song_artists)) - np.searchsorted(song_artists, song_artists)
    keys = song_artists * (len(song_artists) + 1) + place // SONGS_AN_ALBUM
    on_album = rng.random(len(song_artists)) >= SINGLES
    found, albums = np.unique(keys[on_album], return_inverse=True)
    song_albums = np.full(len(song_artists), -1, dtype=np.int64)
    song_albums[on_album] = albums
    return song_albums, found // (len(song_artists) + 1)


def _album_titles(album_artists: Rows, rng: Rng) -> list[str]:
    """Titles that differ within an artist."""
    titles = any_of(ALBUMS, len(album_artists), rng)
    seen: set[tuple[int, str]] = set()
    for row, artist in enumerate(album_artists.tolist()):
        while (artist, titles[row]) in seen:
            titles[row] = any_of(ALBUMS, 1, rng)[0]
        seen.add((artist, titles[row]))
    return titles


def _years(years: Floats) -> Rows:
    return np.clip(np.rint(years), 1955, 2025).astype(np.int64)


def _durations(minutes: Floats, rng: Rng) -> Rows:
    return np.clip(minutes * 60_000 * rng.lognormal(0, 0.25, len(minutes)), 45_000, 1_200_000).astype(np.int64)


def _popularity(fame: Floats) -> Floats:
    """From 0 to 100 with a long tail: half of the songs stay below 13."""
    rank = np.argsort(np.argsort(fame, kind="stable"), kind="stable")
    popularity: Floats = np.round(100 * ((rank + 0.5) / len(fame)) ** 3, 1)
    return popularity


def _features(genres: Rows, lean: Floats, rng: Rng) -> dict[str, Floats]:
    """A song's features about its genre's, moved by its artist's lean, by its intensity and by its mood."""
    facts = np.array([facts for facts, _shares in GENRES.values()], dtype=np.float64)[genres]
    shares = np.array([shares for _facts, shares in GENRES.values()])[genres]
    n = len(genres)
    intensity, mood = rng.normal(0, 1, (2, n))
    pull = {
        "energy": 0.7 * intensity,
        "acousticness": -0.6 * intensity,
        "danceability": 0.4 * mood,
        "valence": 0.7 * mood,
        "liveness": 0.2 * intensity,
    }
    features = {}
    for place, name in enumerate(SHARES):
        usual = np.log(shares[:, place] / (1 - shares[:, place]))
        moved = usual + 0.5 * lean[:, place] + pull.get(name, 0) + 0.35 * rng.normal(0, 1, n)
        features[name] = np.round(1 / (1 + np.exp(-moved)), 4)
    features["loudness"] = np.round(np.clip(facts[:, 2] + 1.5 * lean[:, -2] + 2 * intensity, -60, -0.5), 3)
    features["tempo"] = np.round(np.clip(facts[:, 1] + 8 * lean[:, -1] + rng.normal(0, 14, n), 50, 210), 2)
    features["key"] = rng.integers(0, 12, n).astype(np.float64)
    features["mode"] = (rng.random(n) < facts[:, 3]).astype(np.float64)
    features["time_signature"] = rng.choice([3.0, 4.0, 5.0], n, p=[0.1, 0.87, 0.03])
    return {name: features[name] for name in FEATURES}


def _tags(features: dict[str, Floats]) -> list[list[str]]:
    earned = [(tag, sign * features[name] >= sign * limit) for tag, name, limit, sign in MOODS]
    return [[tag for tag, has in earned if has[row]] for row in range(len(features["tempo"]))]
