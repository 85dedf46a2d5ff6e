"""The space of content (features, tags, genre and country), learned from one catalogue and laid over another."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.engines.base import Params, State
from recommender.engines.points import Flags, Points, Singles
from recommender.engines.tables import NOT_CONTENT, Floats, Rows, SongTable

NOT_LINEAR = ("key",)  # C follows B: as a number it would put neighbours at the two ends
FURTHEST = 3.0  # standard deviations: a song of two hours is long, not a world of its own
MOST_TAGS = 500
WEIGHTS = ("audio_weight", "tag_weight", "genre_weight", "country_weight")


def learn_content(songs: SongTable, params: Params) -> State:
    """The space these songs span: means and scales of the numeric columns, the names of genres, tags and countries
    that have a dimension, the axes of the tags (n_tags, n_axes), and the importance (b,) of each block (see `Points`).

    params : the weight of each of the four parts, >= 0, and `n_tag_axes`.
    """
    columns = [name for name in songs.numeric_names if name not in (*NOT_CONTENT, *NOT_LINEAR)]
    columns = [name for name in columns if _varies(songs.column(name))]
    tag_names, tag_axes = _tag_axes(songs, params["n_tag_axes"])
    audio_weight, *weights = (float(params[name]) for name in WEIGHTS)
    return {
        "column_names": np.array(columns, dtype=np.str_),
        "means": np.array([np.nanmean(songs.column(name)) for name in columns]),
        "scales": np.array([np.nanstd(songs.column(name)) for name in columns]),
        "genre_names": songs.genre_names.to_numpy(dtype=np.str_),
        "country_names": songs.country_names.to_numpy(dtype=np.str_),
        "tag_names": tag_names,
        "tag_axes": tag_axes,
        # The columns share the weight of their part.
        "importance": np.append(np.full(len(columns), audio_weight / max(len(columns), 1)), weights),
    }


def points(songs: SongTable, space: State) -> Points:
    """These songs in a learned space; genres, tags, countries and columns it does not know are unknown."""
    columns, column_known = _columns(songs, space)
    axes, tags_known = _on_axes(songs, space)
    genres = _places(songs.genres, songs.genre_names, space["genre_names"])
    countries = _places(songs.countries, songs.country_names, space["country_names"])
    n_genres, n_countries = len(space["genre_names"]), len(space["country_names"])
    lengths = np.sqrt(space["importance"], dtype=np.float32)
    n_columns = columns.shape[1]
    named = np.column_stack([genres, np.where(countries >= 0, n_genres + countries, -1)])
    return Points(
        line=np.hstack([columns * lengths[:n_columns], axes * lengths[n_columns]]),
        codes=np.where(named >= 0, named, n_genres + n_countries).astype(np.int32),
        n_names=(n_genres, n_countries),
        known=np.column_stack([column_known, tags_known, genres >= 0, countries >= 0]),
        importance=space["importance"],
    )


def _varies(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    return len(known) > 0 and bool(np.ptp(known) > 0)


def _columns(songs: SongTable, space: State) -> tuple[Singles, Flags]:
    """The standardised columns, float32 (n, c), 0 where unknown, and where they are known."""
    values = np.full((len(songs), len(space["column_names"])), np.nan)
    for place, name in enumerate(space["column_names"]):
        if name in songs.numeric_names:
            values[:, place] = songs.column(name)
    standard = np.clip((values - space["means"]) / space["scales"], -FURTHEST, FURTHEST)
    return np.nan_to_num(standard).astype(np.float32), np.isfinite(values)


def _on_axes(songs: SongTable, space: State) -> tuple[Singles, Flags]:
    """The songs on the axes of the tags, float32 (n, a) of length 1 or 0, and bool (n,) whether a tag is known."""
    axes = np.append(space["tag_axes"], np.zeros((1, space["tag_axes"].shape[1])), axis=0)
    places = pd.Index(space["tag_names"]).get_indexer(songs.tag_names)
    vectors = songs.tags.astype(np.float32) @ axes[places].astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), lengths[:, 0] > 0


def _places(codes: Rows, names: pd.Index, learned: NDArray[np.str_]) -> Rows:
    """The place of each song's name among the learned ones, int64 (n,), -1 where it is unknown."""
    # The code -1 of the unknown takes the last place, which is -1 as well.
    places: Rows = np.append(pd.Index(learned).get_indexer(names), -1)[codes]
    return places


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
