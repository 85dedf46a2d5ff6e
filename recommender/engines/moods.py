"""Moods: songs that sound alike, found by K-means and named by what sets them apart.

The space is that of `content`, reduced to what makes a mood: the columns of sound that most songs have, and the genre
with a small weight. What a song lacks is left out of its distances, and the centres are learned from songs that lack
little, so what nobody measured neither makes a mood nor decides for one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.content import FURTHEST, NOT_LINEAR
from recommender.engines.tables import NOT_CONTENT, Floats, Rows, SongTable

# When it was made and how long it is are no sound; scale and metre take so few values that they would split every
# catalogue by themselves.
NO_SOUND = (*NOT_CONTENT, *NOT_LINEAR, "year", "duration_ms", "mode", "time_signature")
GENRE_WEIGHT = 0.1  # beside all columns together; from 0.25 on the moods are the genres over again
MEASURED = 0.1  # a column known of fewer songs cannot speak for the catalogue
MOST_GENRES = 20  # the commonest have a dimension of their own, the others have none
N_MOODS = (6, 24)  # fewer are no help to whoever browses, more are no overview
SONGS_PER_MOOD = 8
N_SAMPLE = 2000  # songs on which the number of moods is chosen: silhouettes cost the square of it
N_STARTS = 4
N_ROUNDS = 300
CLEARLY = 0.02  # of silhouette: what a new division must gain over the one that stands

WORDS = {  # of a feature that is high and of one that is low; "" where that is how most music is
    "energy": ("energetic", "calm"),
    "loudness": ("loud", "soft"),
    "acousticness": ("acoustic", "electric"),
    "danceability": ("danceable", "free-flowing"),
    "valence": ("happy", "sad"),
    "tempo": ("fast", "slow"),
    "instrumentalness": ("instrumental", ""),
    "speechiness": ("spoken", ""),
    "liveness": ("live", ""),
}
ECHOES = {"loudness": "energy"}  # says nothing where the other is known
N_WORDS = 2
STRONG = 0.3  # standard deviations from the mean of all songs
DOMINATES = 2 / 3  # the share of a mood's songs from which on their genre is part of its name
LONGEST = 100  # signs of a name, before a number that sets it apart
NAMELESS = "balanced"  # nothing sets it apart


@dataclass(frozen=True, eq=False)
class Sounds:
    """Songs as points, n of them in d dimensions, with the mean of all at 0.

    vectors : float64 (n, d), 0 where unknown; scaled, so that squared differences add up by importance.
    known : float64 (n, d) of 0/1.
    importance : float64 (d,), the weight of knowing each dimension; sums to 1.
    """

    vectors: Floats
    known: Floats
    importance: Floats

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, rows: Rows | NDArray[np.bool_]) -> "Sounds":
        return Sounds(self.vectors[rows], self.known[rows], self.importance)


def find_moods(
    songs: SongTable, *, rng: np.random.Generator, n_moods: tuple[int, int] = N_MOODS, before: Rows | None = None
) -> Rows:
    """The mood of each song, int64 (n,) from 0, -1 for a song of which neither sound nor genre is known.

    K-means: the best of N_STARTS k-means++ starts (Arthur and Vassilvitskii 2007), settled by Lloyd's rounds (1982).
    There are as many moods as give the highest mean silhouette (Rousseeuw 1987), at most one for every
    SONGS_PER_MOOD songs. The order of the songs does not matter.

    n_moods : the least and the most moods to choose among, from 1 up.
    before : int64 (n,), the moods of last time, -1 for none. That division stands, settled anew, unless another one's
        silhouette is higher by CLEARLY.
    Raises TableNeeded where no song has a genre and no column of sound is known of enough of them; ParameterOutOfRange.
    """
    if not 1 <= n_moods[0] <= n_moods[1]:
        raise ParameterOutOfRange(f"n_moods is {n_moods}; it must be the least and the most moods, from 1 up")
    _, columns = _columns(songs)
    order = np.lexsort((songs.genres, *columns.T))
    sounds = _points(columns[order], _one_hot(songs.genres[order]))
    described = sounds.known.any(axis=1)
    if not described.any():
        raise TableNeeded("moods need songs with a genre, or a column of sound that most of them have")
    weights = sounds.known @ sounds.importance
    learners = weights > weights.max() / 2
    standing = None if before is None else before[order][learners]
    found = nearest(sounds, _learn(sounds.rows(learners), n_moods, standing, rng))
    labels = np.full(len(songs), -1, dtype=np.int64)
    labels[order[described]] = np.unique(found[described], return_inverse=True)[1]
    return labels


def continued(labels: Rows, before: Rows) -> Rows:
    """Which mood of last time each mood continues, int64 (k,), -1 for none: the one with which it shares more than
    half of the songs of either, counted over those that have a mood both times.

    labels, before : int64 (n,), -1 for none.
    """
    both = (labels >= 0) & (before >= 0)
    shape = labels.max(initial=-1) + 1, max(int(before.max(initial=-1)), 0) + 1
    shared = sparse.coo_array((np.ones(both.sum()), (labels[both], before[both])), shape=shape).toarray()
    sizes = np.maximum(shared.sum(axis=1)[:, None], shared.sum(axis=0))
    best = shared.argmax(axis=1)
    goes_on = np.take_along_axis(2 * shared > sizes, best[:, None], axis=1)[:, 0]
    followed: Rows = np.where(goes_on, best, -1)
    return followed


def name_moods(songs: SongTable, labels: Rows, *, kept: Mapping[int, str] | None = None) -> tuple[str, ...]:
    """A name for each mood, each of other words: what sets it apart most, and the genre that dominates it.

    labels : int64 (n,), -1 for none.
    kept : names that moods have already, by mood; they stay as they are.
    """
    names = dict(kept or {})
    for mood, candidates in enumerate(_descriptions(songs, labels)):
        if mood not in names:
            taken = {_said(name) for name in names.values()}
            names[mood] = next(name for name in candidates if _said(name) not in taken)
    return tuple(names[mood] for mood in sorted(names))


def nearest(sounds: Sounds, centres: Floats) -> Rows:
    """The nearest centre of each song over what is known of it, int64 (n,); ties fall to the first."""
    rows: Rows = _distances(sounds, centres).argmin(axis=1)
    return rows


def silhouette(gaps: Floats, labels: Rows) -> float:
    """The mean over all points of (b - a) / max(a, b), -1..1: a the mean distance to the others of its own division, b
    that to the nearest other one; 0 for a point that is alone in its division, and where there is one division.

    gaps : float64 (n, n), the distances. labels : int64 (n,).
    """
    own = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(own)
    if len(sizes) == 1:
        return 0.0
    members = np.arange(len(own)), own
    sums = gaps @ np.eye(len(sizes))[own]
    within = sums[members] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[members] = np.inf
    between = means.min(axis=1)
    most = np.maximum(within, between)
    widths = np.divide(between - within, most, out=np.zeros_like(most), where=(most > 0) & (sizes[own] > 1))
    return float(widths.mean())


def gaps(sounds: Sounds) -> Floats:
    """The distance of each two songs over what is known of both, by importance, float64 (n, n)."""
    squares = sounds.vectors**2 @ sounds.known.T
    shared = (sounds.known * sounds.importance) @ sounds.known.T
    differences = np.maximum(squares + squares.T - 2 * sounds.vectors @ sounds.vectors.T, 0.0)
    distances: Floats = np.sqrt(np.divide(differences, shared, out=np.zeros_like(shared), where=shared > 0))
    return distances


def _columns(songs: SongTable) -> tuple[list[str], Floats]:
    """Names and values of the columns of sound that count, float64 (n, c), NaN where unknown.

    Those are the columns that most of the songs with any have, and MEASURED of all songs.
    """
    names = [name for name in songs.numeric_names if name not in NO_SOUND]
    columns = songs.numeric[:, [songs.numeric_names.index(name) for name in names]]
    known = np.isfinite(columns)
    common = known.sum(axis=0) > max(known.any(axis=1).sum() / 2, MEASURED * len(songs))
    return [name for name, is_common in zip(names, common, strict=True) if is_common], columns[:, common]


def _one_hot(genres: Rows) -> Floats:
    """1 for the genre of each song among the commonest, float64 (n, g), NaN where the genre is unknown."""
    common = np.argsort(-np.bincount(genres[genres >= 0]), kind="stable")[:MOST_GENRES]
    return np.where(genres[:, None] >= 0, (genres[:, None] == common).astype(np.float64), np.nan)


def _points(columns: Floats, genres: Floats) -> Sounds:
    """Songs as points: columns as standard scores, cut at FURTHEST, and genres, two of which are as far apart as
    two songs in the columns are on average, times GENRE_WEIGHT."""
    n_columns, n_genres = columns.shape[1], genres.shape[1]
    standard = np.clip(_centred(columns) / _spreads(columns), -FURTHEST, FURTHEST)
    vectors = np.hstack([standard / np.sqrt(max(n_columns, 1)), _centred(genres) * np.sqrt(GENRE_WEIGHT)])
    importance = np.append(
        np.full(n_columns, 1.0 / max(n_columns, 1)), np.full(n_genres, GENRE_WEIGHT / max(n_genres, 1))
    )
    known = np.isfinite(vectors).astype(np.float64)
    return Sounds(np.nan_to_num(vectors), known, importance / max(importance.sum(), GENRE_WEIGHT))


def _centred(values: Floats) -> Floats:
    n_known = np.isfinite(values).sum(axis=0)
    centred: Floats = values - np.nansum(values, axis=0) / np.maximum(n_known, 1)
    return centred


def _spreads(columns: Floats) -> Floats:
    """Standard deviations, float64 (c,); 1 where all values are equal."""
    n_known = np.maximum(np.isfinite(columns).sum(axis=0), 1)
    spreads: Floats = np.sqrt(np.nansum(_centred(columns) ** 2, axis=0) / n_known)
    return np.where(spreads > 0, spreads, 1.0)


def _learn(sounds: Sounds, n_moods: tuple[int, int], standing: Rows | None, rng: np.random.Generator) -> Floats:
    """The centres (k, d): k is chosen on a sample, the centres are settled on all songs."""
    chosen = np.arange(len(sounds))
    if len(sounds) > N_SAMPLE:
        chosen = np.sort(rng.choice(len(sounds), N_SAMPLE, replace=False))
    sample = sounds.rows(chosen)
    distances = gaps(sample)
    most = min(n_moods[1], max(len(sample) // SONGS_PER_MOOD, 1), len(np.unique(sample.vectors, axis=0)))
    divisions = [_divide(sample, k, rng) for k in range(min(n_moods[0], most), most + 1)]
    widths = [silhouette(distances, nearest(sample, centres)) for centres in divisions]
    best = int(np.argmax(widths))
    if standing is not None and (standing >= 0).any():
        stood = _settle(sounds, _means(sounds, standing))
        width = silhouette(distances, nearest(sample, stood))
        if n_moods[0] <= len(stood) <= n_moods[1] and width > widths[best] - CLEARLY:
            return stood
    return _settle(sounds, divisions[best])


def _divide(sounds: Sounds, k: int, rng: np.random.Generator) -> Floats:
    """The best of several divisions into k, by the squared distances to the centres; these, float64 (k, d)."""
    divisions = [_settle(sounds, _scatter(sounds, k, rng)) for _ in range(N_STARTS)]
    return min(divisions, key=lambda centres: float(_distances(sounds, centres).min(axis=1).sum()))


def _scatter(sounds: Sounds, k: int, rng: np.random.Generator) -> Floats:
    """k songs to start from, float64 (k, d): each drawn in proportion to its squared distance from those before.

    Fewer where no song is apart from these any more, as when songs differ in nothing but in what is known of them.
    """
    centres = sounds.vectors[[rng.integers(len(sounds))]]
    while len(centres) < k:
        odds = _distances(sounds, centres).min(axis=1)
        if not odds.any():
            break
        drawn = rng.choice(len(sounds), p=odds / odds.sum())
        centres = np.append(centres, sounds.vectors[[drawn]], axis=0)
    return centres


def _settle(sounds: Sounds, centres: Floats) -> Floats:
    """Lloyd's rounds, until no song changes over: each song goes to its nearest centre, each centre to the mean of
    its songs. A centre that loses all its songs is given up."""
    labels = np.full(len(sounds), -1, dtype=np.int64)
    for _ in range(N_ROUNDS):
        moved = nearest(sounds, centres)
        if np.array_equal(moved, labels):
            break
        labels = moved
        centres = _means(sounds, labels)
    return centres


def _means(sounds: Sounds, labels: Rows) -> Floats:
    """The means over what is known, float64 (k, d), of the divisions that have songs; 0, the mean of all, where
    nothing is known. Songs of label -1 are left out."""
    rows = np.flatnonzero(labels >= 0)
    divisions = np.unique(labels[rows], return_inverse=True)[1]
    members = sparse.csr_array((np.ones(len(rows)), (divisions, rows)), shape=(divisions.max() + 1, len(labels)))
    sums, n_known = np.asarray(members @ sounds.vectors), np.asarray(members @ sounds.known)
    means: Floats = np.divide(sums, n_known, out=np.zeros_like(sums), where=n_known > 0)
    return means


def _distances(sounds: Sounds, centres: Floats) -> Floats:
    """Squared distances over what is known of the song, float64 (n, k)."""
    squares = (sounds.vectors**2).sum(axis=1)[:, None] + sounds.known @ (centres**2).T
    distances: Floats = np.maximum(squares - 2 * sounds.vectors @ centres.T, 0.0)
    return distances


def _said(name: str) -> frozenset[str]:
    """The words of a name, in whatever order."""
    return frozenset(name.replace(",", " ").split())


def _descriptions(songs: SongTable, labels: Rows) -> Iterator[Iterator[str]]:
    """For each mood its possible names, the best first, without end."""
    features, columns = _columns(songs)
    standard = _centred(columns) / _spreads(columns)
    for mood in range(labels.max(initial=-1) + 1):
        rows = labels == mood
        n_known = np.maximum(np.isfinite(standard[rows]).sum(axis=0), 1)
        leanings = np.nansum(standard[rows], axis=0) / n_known
        yield _candidates(_words(features, leanings), _genre(songs, rows))


def _words(features: list[str], leanings: Floats) -> list[str]:
    """What sets a mood apart, strongest first. leanings : float64 (c,), the means of its songs as standard scores."""
    words = []
    for i in np.argsort(-np.abs(leanings), kind="stable"):
        feature = features[i]
        if abs(leanings[i]) < STRONG or ECHOES.get(feature) in features:
            continue
        plain = feature.replace("_", " ")
        high, low = WORDS.get(feature, (f"high {plain}", f"low {plain}"))
        words.append(high if leanings[i] > 0 else low)
    return [word for word in words if word]


def _genre(songs: SongTable, rows: NDArray[np.bool_]) -> str:
    """The genre that dominates these songs, "" where none does."""
    sizes = np.bincount(songs.genres[rows & (songs.genres >= 0)], minlength=1)
    return str(songs.genre_names[int(sizes.argmax())]) if sizes.max() >= DOMINATES * rows.sum() else ""


def _candidates(words: list[str], genre: str) -> Iterator[str]:
    """Names of more and more words; then numbered."""
    for n_words in range(min(N_WORDS, len(words)), len(words) + 1):
        name = f"{', '.join(words[:n_words])} {genre}".strip()[:LONGEST] or NAMELESS
        yield name
    yield from (f"{name} {number}" for number in count(2))
