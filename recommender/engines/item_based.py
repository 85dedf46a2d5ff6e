"""Songs side by side: a linear autoencoder that predicts each song from the listener's other songs.

B minimises |X - X B|^2 + |D^(1/2) B|^2 under diag(B) = 0, see `autoencoder`. X holds what listeners like, damped; D is
diagonal, d_j = regularisation x the mean of |X_j|^2 over songs + dropout / (1 - dropout) |X_j|^2.

Sources: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), for the model; Steck, "Autoencoders that
don't overfit towards the identity" (2020), for dropout as a penalty; Ning and Karypis, "SLIM: sparse linear methods for
top-n recommender systems" (2011), for predicting each song from its nearest alone.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.autoencoder import dual, primal, sparse_weights
from recommender.engines.base import Engine, Params, Reason, State
from recommender.engines.learned import LearnedSongs
from recommender.engines.preference import damped_repetitions, own_song_reasons, preferences, require_events
from recommender.engines.tables import Floats, Rows, Tables, id_array

EXACT_SONGS = 1000  # up to here an exact form is quick; beyond, the sparse one ranks better besides
FORMS = ("auto", "primal", "dual", "sparse")

Singles = NDArray[np.float32]


class ItemBased(Engine):
    """EASE, or EDLAE where `dropout` is above 0: exactly, or each song from its `n_companions` nearest alone.

    The state holds `song_ids`, the learned songs, and in float32 in the primal form `weights` (B, dense); in the dual
    form `inverse`, `slack` (1 - G_jj / d_j), `scales` (1 / d), `diagonal` (of G) and the CSR of X as `data`, `indices`,
    `indptr`; in the sparse form the CSR of B by these three names.
    """

    name = "item_based"
    title = "Side by side"
    needs = ()  # history or ratings: one of them is enough
    defaults: ClassVar[Params] = {
        "regularisation": 4.0,
        "dropout": 0.4,
        "damping": 0.1,
        "form": "auto",
        "n_companions": 100,
    }
    ranges: ClassVar[Mapping[str, tuple[float, float] | tuple[str, ...]]] = {
        "regularisation": (1e-6, 1e9),
        "dropout": (0.0, 0.99),
        "damping": (0.0, 1e6),
        "form": FORMS,
        "n_companions": (1, 2000),
    }

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """Closed form; `rng` is not needed.

        Raises TableNeeded where there are neither plays nor ratings, EngineFault where float64 is too coarse.
        """
        require_events(cls.name, tables)
        liked = _liked(tables, params)
        learned = np.unique(liked.indices)
        X = liked[:, learned]
        X = X[np.diff(X.indptr) > 0]
        form = _form(X.shape) if params["form"] == "auto" else params["form"]
        return {
            "song_ids": id_array(tables.songs.ids[learned]),
            **_learned(X, _penalty(X, params), form, params["n_companions"]),
        }

    def _prepare(self) -> None:
        self._songs = LearnedSongs(pd.Index(self.state["song_ids"]), self.tables.songs)
        self._liked = self._songs.gather(_liked(self.tables, self.params))
        n = len(self._songs)
        if "data" in self.state:
            arrays = (self.state["data"], self.state["indices"], self.state["indptr"])
            self._matrix = sparse.csr_array(arrays, shape=(len(self.state["indptr"]) - 1, n))

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """What a listener's other songs predict; NaN for songs not learned and listeners without a learned song, and
        in the sparse form where none of their songs has a weight."""
        liked = self._liked[listener_rows].astype(np.float32)  # as the weights are: a product would widen all of them
        predicted = self._predict(liked).astype(np.float64)
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
        weights = self._weights(own.indices, int(self._songs.places[song_row]))
        return self._songs.song_rows[own.indices], own.data * weights

    def _predict(self, liked: sparse.csr_array) -> Singles:
        """liked B, float32 (m, n_learned)."""
        if "weights" in self.state:
            return np.asarray(liked @ self.state["weights"])
        if "inverse" not in self.state:
            return _dense(liked @ self._matrix)
        scaled = liked * self.state["scales"][None, :]
        predicted = ((scaled @ self._matrix.T) @ self.state["inverse"]) @ self._matrix
        predicted -= (scaled * self.state["diagonal"][None, :]).toarray()
        return np.asarray(predicted / self.state["slack"])

    def _weights(self, places: NDArray[np.integer], place: int) -> Floats:
        """Column `place` of B at these rows, float64 (p,)."""
        if "weights" in self.state:
            return np.asarray(self.state["weights"][places, place], dtype=np.float64)
        if "inverse" not in self.state:
            return np.asarray(self._matrix[places][:, [place]].toarray()[:, 0], dtype=np.float64)
        listeners = self._columns[:, [place]]
        foretold = self._columns[:, places].T @ (self.state["inverse"][:, listeners.indices] @ listeners.data)
        weights = foretold * self.state["scales"][places] / self.state["slack"][place]
        return np.where(places == place, 0.0, weights)

    @cached_property
    def _columns(self) -> sparse.csc_array:
        """X by columns."""
        return self._matrix.tocsc()


def _form(shape: tuple[int, int]) -> str:
    """The form for an X of this shape: one of the exact ones, by whichever side is smaller, where songs are few."""
    n_listeners, n_songs = shape
    if n_songs > EXACT_SONGS:
        return "sparse"
    return "dual" if n_listeners < n_songs else "primal"


def _penalty(X: sparse.csr_array, params: Params) -> Floats:
    """diag(D), float64 (n,); in proportion to X'X, so that a regularisation means the same to many plays and to few."""
    squares = X.power(2).sum(axis=0)
    penalty: Floats = (
        params["regularisation"] * squares.sum() / max(len(squares), 1)
        + params["dropout"] / (1.0 - params["dropout"]) * squares
    )
    return penalty


def _learned(X: sparse.csr_array, penalty: Floats, form: str, n_companions: int) -> State:
    """The arrays of B in one of its forms."""
    if form == "primal":
        return {"weights": primal(X, penalty).astype(np.float32)}
    if form == "sparse":
        return _arrays(sparse_weights(X, penalty, n_companions))
    inverse, diagonal = dual(X, penalty)
    return {
        "inverse": inverse.astype(np.float32),
        "diagonal": diagonal.astype(np.float32),
        "slack": (1.0 - diagonal / penalty).astype(np.float32),
        "scales": (1.0 / penalty).astype(np.float32),
        **_arrays(X),
    }


def _arrays(matrix: sparse.csr_array) -> State:
    return {"data": matrix.data.astype(np.float32), "indices": matrix.indices, "indptr": matrix.indptr}


def _dense(matrix: sparse.csr_array) -> Singles:
    """The same, NaN where it has no entry."""
    dense = np.full(matrix.shape, np.nan, dtype=np.float32)
    dense[matrix.tocoo().coords] = matrix.data
    return dense


def _liked(tables: Tables, params: Params) -> sparse.csr_array:
    """Preference times damped repetition, 1 + damping log(repetition); songs rated 1 drop out."""
    preferred, repeated = preferences(tables), damped_repetitions(tables)
    preferred.data = preferred.data * (1.0 + params["damping"] * (repeated.data - 1.0))
    preferred.eliminate_zeros()
    return preferred
