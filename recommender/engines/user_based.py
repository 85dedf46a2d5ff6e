"""UserBased, "Fan club": what the listeners nearest in taste have heard and this one has not."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import sparse

from recommender.engines.base import Engine, Params, Reason, State
from recommender.engines.learned import LearnedSongs
from recommender.engines.preference import damped_repetitions, preferences, require_events
from recommender.engines.ranking import drawn, top_n
from recommender.engines.tables import Floats, Rows, Tables, id_array

SONGS_SHOWN = 3


class UserBased(Engine):
    """Neighbours by the cosine of weighted histories vote, each with its own likeness, for the songs they heard.

    A history is a vector over songs: preference x damped repetition ^ `repetition_power` x rarity, rarity being
    log(1 + listeners / listeners of the song), scaled to unit length. Candidates are the listeners who share the
    current song where one plays and somebody shares it, else those who share any song; the `n_neighbours` nearest
    vote. A song scores sum(likeness x its part of the neighbour's vector) / sum(likeness): 0..1, NaN where no
    neighbour heard it. With a current song the vote and the nearness to that song (the cosine of their listeners)
    are averaged, nearness with `current_weight`.
    """

    name: ClassVar[str] = "user_based"
    title: ClassVar[str] = "Fan club"
    needs: ClassVar[tuple[str, ...]] = ()  # history or ratings: one of them is enough
    defaults: ClassVar[Params] = {
        "n_neighbours": 150,
        "repetition_power": 0.25,
        "current_weight": 0.5,
        "sampling": "top_n",
    }
    ranges = {
        "n_neighbours": (1, 1_000_000),
        "repetition_power": (0.0, 2.0),
        "current_weight": (0.0, 1.0),
        "sampling": ("top_n", "uniform", "distribution"),
    }

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """The weighted histories of all listeners, as the arrays of a CSR, whose they are, and the seed of the draws.

        Raises TableNeeded where there are neither plays nor ratings.
        """
        require_events(cls.name, tables)
        histories = _histories(tables, params["repetition_power"])
        return {
            "listener_ids": id_array(tables.users.ids),
            "song_ids": id_array(tables.songs.ids),
            "indptr": histories.indptr.astype(np.int64),
            "indices": histories.indices.astype(np.int64),
            "weights": histories.data,
            "seeds": rng.integers(2**32, size=2),  # one for the draw of neighbours, one for that of songs
        }

    def _prepare(self) -> None:
        histories = self._learned_histories()
        n_listeners = np.bincount(histories.indices, minlength=self.tables.n_songs)
        self._rarity = np.log1p(histories.shape[0] / np.maximum(n_listeners, 1))
        self._members = _unit(sparse.csr_array(histories * self._rarity[None, :]))
        self._heard = sparse.csr_array(histories > 0).astype(np.float64)
        self._own_member = pd.Index(self.state["listener_ids"]).get_indexer(self.tables.users.ids)
        own = _histories(self.tables, self.params["repetition_power"])
        self._weighted = sparse.csr_array(own * self._rarity[None, :])
        self._seeds = tuple(int(seed) for seed in self.state["seeds"])

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        neighbours = self._neighbours(listener_rows, current_song)
        votes = (neighbours @ self._members).toarray()
        total = neighbours.sum(axis=1)[:, None]
        scores = np.divide(votes, total, out=np.full_like(votes, np.nan), where=votes > 0)
        if current_song is not None:
            best = np.nanmax(scores, axis=1, keepdims=True, initial=0.0)
            weight = self.params["current_weight"]
            scores = (1 - weight) * scores / np.where(best > 0, best, 1.0) + weight * self._nearness(current_song)
        return drawn(scores, self.params["sampling"], self._seeds[1], listener_rows)

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """How many neighbours heard the song, and the listener's own songs that made these neighbours."""
        listener_row, song_row = self.tables.listener_rows([listener_id]), self.tables.song_rows([song_id])[0]
        neighbours = self._neighbours(listener_row, None)
        heard = self._heard[:, [song_row]].toarray()[:, 0]
        voters = np.intersect1d(neighbours.indices, np.flatnonzero(heard))
        if not len(voters):
            return ()
        # A vote sums over the own songs: weight of the own song x its part of the neighbour x the song's part of them.
        parts = self._members[voters]
        own = self._weighted[listener_row]
        summands = own.data * (parts.T @ parts[:, [song_row]].toarray()[:, 0])[own.indices]
        strongest = np.argsort(-summands, kind="stable")[:SONGS_SHOWN]
        shared = self.tables.songs.ids[own.indices[strongest[summands[strongest] > 0]]]
        return (Reason(kind="listeners", share=1.0, song_ids=tuple(shared.tolist()), value=float(len(voters))),)

    def _learned_histories(self) -> sparse.csr_array:
        """The learned histories on the songs of the tables, CSR (n_members, n_songs); songs now gone are left out."""
        shape = (len(self.state["listener_ids"]), len(self.state["song_ids"]))
        learned = sparse.csr_array((self.state["weights"], self.state["indices"], self.state["indptr"]), shape=shape)
        entries = learned.tocoo()
        columns = LearnedSongs(pd.Index(self.state["song_ids"]), self.tables.songs).song_rows[entries.col]
        there = columns >= 0
        return sparse.csr_array(
            (entries.data[there], (entries.row[there], columns[there])), shape=(shape[0], self.tables.n_songs)
        )

    def _neighbours(self, listener_rows: Rows, current_song: int | None) -> sparse.csr_array:
        """Cosines of the nearest listeners, CSR (m, n_members)."""
        histories = self._weighted[listener_rows]
        if current_song is not None:
            histories = self._with_current(histories, current_song)
        cosines = (_unit(histories) @ self._members.T).toarray()
        learned = np.flatnonzero(self._own_member[listener_rows] >= 0)
        cosines[learned, self._own_member[listener_rows][learned]] = 0.0
        if current_song is not None:
            sharing = cosines * self._heard[:, [current_song]].toarray()[:, 0]
            cosines = np.where(sharing.any(axis=1, keepdims=True), sharing, cosines)
        candidates = np.where(cosines > 0, cosines, np.nan)
        drawn_candidates = drawn(candidates, self.params["sampling"], self._seeds[0], listener_rows)
        members, _ = top_n(drawn_candidates, min(self.params["n_neighbours"], cosines.shape[1]))
        rows, places = np.nonzero(members >= 0)
        chosen = members[rows, places]
        return sparse.csr_array((cosines[rows, chosen], (rows, chosen)), shape=cosines.shape)

    def _with_current(self, histories: sparse.csr_array, current_song: int) -> sparse.csr_array:
        """The song now playing stands in the history as played once, if it does not stand there more firmly."""
        m = histories.shape[0]
        playing = sparse.csr_array(
            (np.full(m, self._rarity[current_song]), (np.arange(m), np.full(m, current_song))), shape=histories.shape
        )
        return sparse.csr_array(histories.maximum(playing))

    def _nearness(self, current_song: int) -> Floats:
        """Cosine of each song's listeners and the current song's, 0..1, float64 (n_songs,)."""
        current = self._heard[:, [current_song]].toarray()[:, 0]
        together = self._heard.T @ current
        lengths = np.sqrt(self._heard.sum(axis=0) * current.sum())
        nearness: Floats = np.divide(together, lengths, out=np.zeros_like(together), where=lengths > 0)
        return nearness


def _histories(tables: Tables, repetition_power: float) -> sparse.csr_array:
    """Preference x damped repetition ^ power, CSR (n_listeners, n_songs) > 0."""
    weights = damped_repetitions(tables)
    weights.data **= repetition_power
    histories = sparse.csr_array(weights.multiply(preferences(tables)))
    histories.eliminate_zeros()
    return histories


def _unit(histories: sparse.csr_array) -> sparse.csr_array:
    """Rows scaled to length 1; empty rows stay empty."""
    lengths = np.sqrt(histories.multiply(histories).sum(axis=1))
    return sparse.csr_array(histories * np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)[:, None])
