"""Songs side by side: a linear autoencoder that predicts each song from the listener's other songs.

B minimises |X - X B|^2 + |D^(1/2) B|^2 under diag(B) = 0, in closed form. X holds what listeners like, damped;
D is diagonal. With P = (X'X + D)^-1, B_ij = -P_ij / P_jj off the diagonal. Where listeners are fewer than
songs the inverse is taken on their side: with G = X'(I + X D^-1 X')^-1 X (so P = D^-1 - D^-1 G D^-1),

    B_ij = (G_ij / d_i) / (1 - G_jj / d_j),

and no songs x songs array is ever made.

Sources: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), for the closed form; Steck,
"Autoencoders that don't overfit towards the identity" (2020), for dropout as a penalty p / (1 - p) diag(X'X).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import sparse

from recommender.engines.base import Engine, Params, Reason, State
from recommender.engines.learned import LearnedSongs
from recommender.engines.preference import damped_repetitions, own_song_reasons, preferences, require_events
from recommender.engines.tables import Floats, Rows, Tables, id_array

BATCH_SONGS = 1024  # columns of G looked at at once: bounds the dense block to listeners x BATCH_SONGS


def primal(X: sparse.csr_array, penalty: Floats) -> Floats:
    """B through the songs x songs inverse, float64 (n, n).

    X : CSR float64 (m, n). penalty : diag(D), float64 (n,), > 0.
    """
    P = np.linalg.inv((X.T @ X).toarray() + np.diag(penalty))
    B: Floats = P / -np.diag(P)
    np.fill_diagonal(B, 0.0)
    return B


def dual(X: sparse.csr_array, penalty: Floats) -> tuple[Floats, Floats]:
    """The listeners x listeners inverse and diag(G), float64 (m, m) and (n,); see the head of this module."""
    inverse = np.linalg.inv(np.eye(X.shape[0]) + ((X / penalty) @ X.T).toarray())
    columns = X.tocsc()
    diagonal = np.zeros(X.shape[1])
    for start in range(0, len(diagonal), BATCH_SONGS):
        chunk = columns[:, start : start + BATCH_SONGS]
        diagonal[start : start + BATCH_SONGS] = chunk.multiply(inverse @ chunk).sum(axis=0)
    return inverse, diagonal


class ItemBased(Engine):
    """EASE, or EDLAE where `dropout` is above 0, in whichever form inverts the smaller matrix.

    The state holds either `weights` (B, float32) or, in the dual form, `inverse`, `diagonal` (of G) and X as
    `data`, `indices`, `indptr`, with `penalty`; `song_ids` names the learned songs.
    """

    name = "item_based"
    title = "Side by side"
    needs = ()  # history or ratings: one of them is enough
    defaults: ClassVar[Params] = {"regularisation": 20.0, "dropout": 0.0, "damping": 0.0}
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "regularisation": (1e-6, 1e9),
        "dropout": (0.0, 0.99),
        "damping": (0.0, 1e6),
    }

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """Closed form; `rng` is not needed. Raises TableNeeded where there are neither plays nor ratings."""
        require_events(cls.name, tables)
        liked = _liked(tables, params)
        learned = np.unique(liked.indices)
        X = liked[:, learned]
        X = X[np.diff(X.indptr) > 0]
        squares = X.power(2).sum(axis=0)
        penalty = params["regularisation"] + params["dropout"] / (1.0 - params["dropout"]) * squares
        song_ids = id_array(tables.songs.ids[learned])
        if X.shape[0] >= X.shape[1]:
            return {"song_ids": song_ids, "weights": primal(X, penalty).astype(np.float32)}
        inverse, diagonal = dual(X, penalty)
        return {
            "song_ids": song_ids,
            "inverse": inverse.astype(np.float32),
            "diagonal": diagonal,
            "penalty": penalty,
            "data": X.data,
            "indices": X.indices,
            "indptr": X.indptr,
        }

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """What a listener's other songs predict; NaN for songs not learned and listeners without a learned song."""
        liked = self._liked[listener_rows]
        predicted = self._predict(liked)
        predicted[np.diff(liked.indptr) == 0] = np.nan
        return self._songs.spread(predicted)

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """The score as the sum x_i B_ij over the listener's own songs i."""
        row = int(self.tables.listener_rows([listener_id])[0])
        song_row = int(self.tables.song_rows([song_id])[0])
        if self._songs.places[song_row] < 0:
            return ()
        song_rows, summands = self.attribute(row, song_row)
        return own_song_reasons(self.tables, row, song_rows, summands, 0.0)

    def attribute(self, listener_row: int, song_row: int) -> tuple[Rows, Floats]:
        """The listener's song rows int64 (p,) and what each adds to the score of `song_row`, float64 (p,)."""
        own = self._liked[[listener_row]]
        weights = self._column(int(self._songs.places[song_row]))
        return self._songs.song_rows[own.indices], own.data * weights[own.indices]

    def _predict(self, liked: sparse.csr_array) -> Floats:
        if "weights" in self.state:
            return np.asarray(liked @ self.state["weights"], dtype=np.float64)
        scaled = liked / self.state["penalty"]
        raw = ((scaled @ self._training.T) @ self.state["inverse"]) @ self._training
        itself = scaled.multiply(self.state["diagonal"]).toarray()
        return np.asarray((raw - itself) / self._slack, dtype=np.float64)

    def _column(self, place: int) -> Floats:
        """Column `place` of B, float64 (n,)."""
        if "weights" in self.state:
            return np.asarray(self.state["weights"][:, place], dtype=np.float64)
        listeners = self._columns[:, [place]]
        weights = self._columns.T @ (listeners.data @ self.state["inverse"][listeners.indices])
        weights = weights / self.state["penalty"] / self._slack[place]
        weights[place] = 0.0
        return np.asarray(weights, dtype=np.float64)

    @cached_property
    def _songs(self) -> LearnedSongs:
        return LearnedSongs(pd.Index(self.state["song_ids"]), self.tables.songs)

    @cached_property
    def _liked(self) -> sparse.csr_array:
        """What the listeners of the tables like among the learned songs, CSR float64 (n_listeners, n_learned)."""
        return self._songs.gather(_liked(self.tables, self.params))

    @cached_property
    def _training(self) -> sparse.csr_array:
        arrays = (self.state["data"], self.state["indices"], self.state["indptr"])
        return sparse.csr_array(arrays, shape=(len(self.state["inverse"]), len(self.state["song_ids"])))

    @cached_property
    def _columns(self) -> sparse.csc_array:
        """X by columns."""
        return self._training.tocsc()

    @cached_property
    def _slack(self) -> Floats:
        """1 - G_jj / d_j: how much of each song its listeners do not already foretell, float64 (n,)."""
        slack: Floats = 1.0 - self.state["diagonal"] / self.state["penalty"]
        return slack


def _liked(tables: Tables, params: Params) -> sparse.csr_array:
    """Preference times damped repetition, 1 + damping log(repetition); songs rated 1 drop out."""
    preferred, repeated = preferences(tables), damped_repetitions(tables)
    preferred.data = preferred.data * (1.0 + params["damping"] * (repeated.data - 1.0))
    preferred.eliminate_zeros()
    return preferred
