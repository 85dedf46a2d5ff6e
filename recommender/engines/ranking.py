"""From scores to lists: the n best of each row, ties settled, absent opinions padded; and draws by chance."""

import numpy as np

from recommender.engines.tables import Floats, Rows


def top_n(scores: Floats, n: int) -> tuple[Rows, Floats]:
    """The n highest scores of each row, highest first; ties fall to the lower column.

    scores : float64 (m, k), NaN = no opinion.
    Returns columns int64 (m, n), padded with -1, and their scores float64 (m, n), padded with NaN.
    """
    columns = np.full((len(scores), n), -1, dtype=np.int64)
    values = np.full((len(scores), n), np.nan)
    # A partition alone would pick at will among those that tie with the n-th best: all of them are sorted.
    rows, candidates = np.nonzero(scores >= _nth_best(scores, n))
    found = scores[rows, candidates]
    order = np.lexsort((candidates, -found, rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    listed = rank < n
    columns[rows[listed], rank[listed]] = candidates[order][listed]
    values[rows[listed], rank[listed]] = found[order][listed]
    return columns, values


def _nth_best(scores: Floats, n: int) -> Floats:
    """The n-th highest score of each row, (m, 1); -inf where a row has fewer."""
    known = np.where(np.isnan(scores), -np.inf, scores)
    m, k = known.shape
    if n >= k:
        return np.full((m, 1), -np.inf)
    nth: Floats = np.partition(known, k - n, axis=1)[:, k - n : k - n + 1]
    return nth


def drawn(scores: Floats, sampling: str, seed: int, listener_rows: Rows) -> Floats:
    """Scores by which a `top_n` is a draw without replacement; NaN stays NaN, and everything else is in 0..1.

    scores : float64 (m, k) >= 0 or NaN, one row a listener.
    sampling : "top_n" leaves the scores alone; "uniform" draws any with an opinion alike; "distribution" draws in
        proportion to the score.
    seed, listener_rows : each listener has a stream of chance of their own, so that a batch draws as one by one.

    An exponential race: of clocks with rates w the first to ring is drawn in proportion to w (Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir", 2006). w / (w + E) orders as w / E does.
    """
    if sampling == "top_n":
        return scores
    clocks = np.empty(scores.shape)
    for i, row in enumerate(listener_rows):
        clocks[i] = np.random.default_rng((seed, int(row))).standard_exponential(scores.shape[1])
    rates = np.where(np.isnan(scores), np.nan, 1.0) if sampling == "uniform" else scores
    return rates / (rates + clocks)
