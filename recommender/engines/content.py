"""Songs as points: standardised features, genre, tags and country, and the likeness of points that are partly unknown.

What is missing is left out, not guessed: two songs are compared on the dimensions both have, and the result counts
by how much of what is known of the first the second shares. To have a feature unknown brings no song nearer to any.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.base import Params, State
from recommender.engines.tables import NOT_CONTENT, Floats, Rows, SongTable

NOT_LINEAR = ("key",)  # C follows B: as a number it would put neighbours at the two ends
FURTHEST = 3.0  # standard deviations: a song of two hours is long, not a world of its own
MOST_TAGS = 500
WEIGHTS = ("audio_weight", "genre_weight", "tag_weight", "country_weight")


@dataclass(frozen=True, eq=False)
class Points:
    """Points in the space of content, n of them in d dimensions.

    vectors : float64 (n, d), 0 where unknown.
    known : float64 (n, d) of 0/1.
    """

    vectors: Floats
    known: Floats

    def middle(self, weights: sparse.csr_array) -> "Points":
        """Weighted means over what is known, one for each row of `weights` (m, n) >= 0."""
        total = weights @ self.known
        sums = weights @ self.vectors
        return Points(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0), (total > 0).astype(np.float64))

    def rows(self, rows: slice | list[int]) -> "Points":
        return Points(self.vectors[rows], self.known[rows])


def likeness(queries: Points, songs: Points, importance: Floats) -> Floats:
    """How like each query each song is, -1..1, float64 (q, n); NaN where they share no known dimension.

    The cosine over the dimensions known of both, times the importance of these over that of all the query knows.

    importance : float64 (d,), the weight of each dimension.
    """
    dots = queries.vectors @ songs.vectors.T
    norms = np.sqrt((queries.vectors**2 @ songs.known.T) * (queries.known @ (songs.vectors**2).T))
    shared = (queries.known * importance) @ songs.known.T
    everything = (queries.known @ importance)[:, None]
    cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    return np.divide(cosines * shared, everything, out=np.full_like(dots, np.nan), where=shared > 0)


def learn_content(songs: SongTable, params: Params) -> State:
    """The space these songs span: means and scales of the numeric columns, the names of genres, tags and countries
    that have a dimension, the axes of the tags (n_tags, n_axes), and the importance (d,) of each dimension.

    params : the weight of each of the four parts, >= 0, and `n_tag_axes`.
    """
    columns = [name for name in songs.numeric_names if name not in (*NOT_CONTENT, *NOT_LINEAR)]
    columns = [name for name in columns if _varies(songs.column(name))]
    tag_names, tag_axes = _tag_axes(songs, params["n_tag_axes"])
    sizes = (len(columns), len(songs.genre_names), tag_axes.shape[1], len(songs.country_names))
    return {
        "column_names": np.array(columns, dtype=np.str_),
        "means": np.array([np.nanmean(songs.column(name)) for name in columns]),
        "scales": np.array([np.nanstd(songs.column(name)) for name in columns]),
        "genre_names": songs.genre_names.to_numpy(dtype=np.str_),
        "country_names": songs.country_names.to_numpy(dtype=np.str_),
        "tag_names": tag_names,
        "tag_axes": tag_axes,
        "importance": np.concatenate(
            [np.full(size, params[name] / max(size, 1)) for name, size in zip(WEIGHTS, sizes, strict=True)]
        ),
    }


def points(songs: SongTable, space: State) -> Points:
    """These songs in a learned space; genres, tags, countries and columns it does not know are unknown."""
    parts = [
        _numeric_part(songs, space),
        _one_hot(songs.genres, songs.genre_names, space["genre_names"]),
        _tag_part(songs, space),
        _one_hot(songs.countries, songs.country_names, space["country_names"]),
    ]
    # The columns share the weight of their part; the other parts have unit length as they are.
    scale = np.ones(len(space["importance"]))
    n_columns = len(space["column_names"])
    scale[:n_columns] = np.sqrt(space["importance"][:n_columns])
    start = n_columns
    for part in parts[1:]:
        size = part.vectors.shape[1]
        scale[start : start + size] = np.sqrt(space["importance"][start : start + size] * size)
        start += size
    return Points(np.hstack([part.vectors for part in parts]) * scale, np.hstack([part.known for part in parts]))


def _varies(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    return len(known) > 0 and bool(np.ptp(known) > 0)


def _numeric_part(songs: SongTable, space: State) -> Points:
    values = np.full((len(songs), len(space["column_names"])), np.nan)
    for place, name in enumerate(space["column_names"]):
        if name in songs.numeric_names:
            values[:, place] = songs.column(name)
    standard = np.clip((values - space["means"]) / space["scales"], -FURTHEST, FURTHEST)
    return Points(np.nan_to_num(standard), np.isfinite(values).astype(np.float64))


def _one_hot(codes: Rows, names: pd.Index, learned: NDArray[np.str_]) -> Points:
    # The code -1 of the unknown takes the last place, which is -1 as well.
    places = np.append(pd.Index(learned).get_indexer(names), -1)[codes]
    vectors = (places[:, None] == np.arange(len(learned))).astype(np.float64)
    return Points(vectors, np.broadcast_to((places >= 0)[:, None], vectors.shape).astype(np.float64))


def _tag_part(songs: SongTable, space: State) -> Points:
    axes = np.append(space["tag_axes"], np.zeros((1, space["tag_axes"].shape[1])), axis=0)
    vectors = songs.tags @ axes[pd.Index(space["tag_names"]).get_indexer(songs.tag_names)]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = np.broadcast_to(lengths > 0, vectors.shape).astype(np.float64)
    return Points(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), known)


def _tag_axes(songs: SongTable, n_axes: int) -> tuple[NDArray[np.str_], Floats]:
    """The commonest tags and what each adds to a song's place on the axes along which tags go together most.

    The axes are those of a truncated singular value decomposition of the songs' tags, rare tags counting more
    (inverse document frequency), by way of the eigenvectors of the small Gram matrix.
    """
    n_tagged = songs.tags.sum(axis=0)
    common = np.argsort(-n_tagged, kind="stable")[:MOST_TAGS]
    rarity = np.log1p(len(songs) / n_tagged[common])
    weighted = songs.tags[:, common] * rarity[None, :]
    _, vectors = np.linalg.eigh((weighted.T @ weighted).toarray())
    axes = rarity[:, None] * vectors[:, ::-1][:, :n_axes]
    return songs.tag_names[common].to_numpy(dtype=np.str_), axes
