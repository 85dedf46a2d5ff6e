"""What a listener's plays and ratings say of how much a song is liked, for the engines that learn from both."""

import numpy as np
from scipy import sparse

from quasimusic.exceptions import TableNeeded
from recommender.engines.base import Reason
from recommender.engines.tables import Floats, Rows, Tables

N_REASONS = 10  # beyond the strongest ten, single songs say nothing a person would read


def require_events(engine: str, tables: Tables) -> None:
    """Raise TableNeeded unless there are plays or ratings."""
    if not len(tables.history) and not len(tables.ratings):
        raise TableNeeded(f"{engine} learns from history or ratings, and both tables are absent or empty")


def preferences(tables: Tables) -> sparse.csr_array:
    """How much each known song is liked, CSR float64 (n_listeners, n_songs) in 0..1, on the entries of `tables.known`.

    A rated song has (rating - 1) / 4, whatever its plays; a song only played has 1. A rating of 1 is a stored 0.
    """
    ratings = _on_known(tables, tables.rating_matrix)
    return _known_with(tables, np.where(ratings > 0, (ratings - 1.0) / 4.0, 1.0))


def damped_repetitions(tables: Tables) -> sparse.csr_array:
    """1 + log(repetition), CSR float64 on the entries of `tables.known`; a song only rated counts as played once."""
    return _known_with(tables, 1.0 + np.log(np.maximum(_on_known(tables, tables.repetitions), 1.0)))


def own_song_reasons(
    tables: Tables, listener_row: int, song_rows: Rows, summands: Floats, rest: float
) -> tuple[Reason, ...]:
    """Reasons from a score that is a sum over the listener's own songs.

    song_rows : int64 (p,), the own songs; summands : float64 (p,), what each adds; rest : what none of them adds.
    Only what speaks for the song is told; a share is the summand's part of everything that does.
    """
    total = summands[summands > 0].sum() + max(rest, 0.0)
    order = np.argsort(-summands, kind="stable")[:N_REASONS]
    rated = tables.rating_matrix[[listener_row]].indices
    return tuple(
        Reason(
            kind="rated" if song_rows[place] in rated else "played",
            share=float(summands[place] / total),
            song_ids=tuple(tables.songs.ids[song_rows[[place]]].tolist()),
        )
        for place in order
        if summands[place] > 0
    )


def _on_known(tables: Tables, matrix: sparse.csr_array) -> Floats:
    """Values of `matrix` at the entries of `tables.known`, 0 where it has none."""
    raised = tables.known + matrix  # known is 1 wherever matrix has an entry, so the sum has known's entries
    assert np.array_equal(raised.indices, tables.known.indices)
    values: Floats = raised.data - 1.0
    return values


def _known_with(tables: Tables, values: Floats) -> sparse.csr_array:
    matrix = tables.known.copy()  # its own index arrays: callers may drop entries
    matrix.data = values
    return matrix
