"""From scores to lists: the n best of each row, ties settled, absent opinions padded."""

import numpy as np

from recommender.engines.tables import Floats, Rows


def top_n(scores: Floats, n: int) -> tuple[Rows, Floats]:
    """The n highest scores of each row, highest first; ties fall to the lower column.

    scores : float64 (m, k), NaN = no opinion.
    Returns columns int64 (m, n), padded with -1, and their scores float64 (m, n), padded with NaN.
    """
    m, k = scores.shape
    n_kept = min(n, k)
    negated = np.where(np.isnan(scores), np.inf, -scores)
    # Everything that ties with the n-th best must be seen, or a partition would pick among them at will.
    order = np.argsort(negated, axis=1, kind="stable")[:, :n_kept]
    best = np.take_along_axis(negated, order, axis=1)
    columns = np.full((m, n), -1, dtype=np.int64)
    values = np.full((m, n), np.nan)
    columns[:, :n_kept] = np.where(np.isinf(best), -1, order)
    values[:, :n_kept] = np.where(np.isinf(best), np.nan, -best)
    return columns, values
