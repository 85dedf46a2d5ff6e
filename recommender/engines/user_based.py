"""UserBased, "Fan club": what the listeners nearest in taste have heard and this one has not."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.base import Engine, Params, Reason, State
from recommender.engines.compressed import Compressed
from recommender.engines.content import learn_content, points
from recommender.engines.learned import LearnedSongs
from recommender.engines.neighbours import nearest, vote
from recommender.engines.points import Points
from recommender.engines.preference import damped_repetitions, preferences, require_events
from recommender.engines.ranking import drawn
from recommender.engines.tables import Floats, Rows, Tables, id_array
from recommender.engines.threads import mapped

SONGS_SHOWN = 3
SAMPLINGS = ("top_n", "uniform", "distribution")  # in the order the kernels count them
BLOCK = 32  # listeners whose neighbours a thread finds at once
BLOCK_CENTROIDS = 4096  # listeners whose centroids stand in double precision at once
CONTENT = {"audio_weight": 1.0, "tag_weight": 1.0, "genre_weight": 1.0, "country_weight": 0.25, "n_tag_axes": 64}

Singles = NDArray[np.float32]


class UserBased(Engine):
    """Neighbours by co-listening and by centroid vote, each with its own likeness, for the songs they heard.

    A history is a vector h over songs: preference x damped repetition ^ `repetition_power` x rarity ^ `rarity_power`,
    rarity being log(1 + listeners / listeners of the song). A listener's is scaled to unit length; a neighbour's is so
    in part: h / (|h| ^ `length_power` x L ^ (1 - `length_power`)), L being the longest, so that who heard much says
    more, as in BM25. Likeness is the product of the two x (1 + `centroid_share` x the cosine of their centroids in
    the space of content); who heard nothing with content has no centroid, and the cosine is 0. Candidates are the
    listeners who share the current song where one plays and somebody shares it, else those who share any song; the
    `n_neighbours` nearest vote. A song scores sum(likeness x its part of the neighbour's vector) / sum(likeness): 0..1,
    NaN where no neighbour heard it. With a current song the vote and the nearness to that song (the cosine of their
    listeners) are averaged, nearness with `current_weight`.
    """

    name: ClassVar[str] = "user_based"
    title: ClassVar[str] = "Fan club"
    needs: ClassVar[tuple[str, ...]] = ()  # history or ratings: one of them is enough
    defaults: ClassVar[Params] = {
        "n_neighbours": 150,
        "repetition_power": 0.25,
        "rarity_power": 1.25,
        "length_power": 0.5,
        "centroid_share": 0.5,
        "current_weight": 0.5,
        "sampling": "top_n",
    }
    ranges = {
        "n_neighbours": (1, 1_000_000),
        "repetition_power": (0.0, 2.0),
        "rarity_power": (0.0, 4.0),
        "length_power": (0.0, 1.0),
        "centroid_share": (0.0, 1.0),
        "current_weight": (0.0, 1.0),
        "sampling": SAMPLINGS,
    }

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """The weighted histories of all listeners, as the arrays of a CSR, whose they are, their centroids with the
        space of content these stand in (`content.learn_content`), and the seed of the draws.

        Raises TableNeeded where there are neither plays nor ratings.
        """
        require_events(cls.name, tables)
        histories = _histories(tables, params["repetition_power"])
        space = learn_content(tables.songs, CONTENT)
        weighted = sparse.csr_array(histories * _rarity(histories, params["rarity_power"])[None, :])
        return {
            "listener_ids": id_array(tables.users.ids),
            "song_ids": id_array(tables.songs.ids),
            "indptr": histories.indptr.astype(np.int64),
            "indices": histories.indices.astype(np.int64),
            "weights": histories.data,
            "centroids": _centroids(points(tables.songs, space), weighted),
            **space,
            "seeds": rng.integers(2**32, size=2),  # one for the draw of neighbours, one for that of songs
        }

    def _prepare(self) -> None:
        histories = self._learned_histories()
        self._rarity = _rarity(histories, self.params["rarity_power"])
        members = _parts(sparse.csr_array(histories * self._rarity[None, :]), self.params["length_power"])
        self._members, self._by_song = Compressed.of(members), Compressed.of(members.T.tocsr())
        self._own_member = pd.Index(self.state["listener_ids"]).get_indexer(self.tables.users.ids).astype(np.int64)
        own = _histories(self.tables, self.params["repetition_power"])
        self._weighted = sparse.csr_array(own * self._rarity[None, :])
        self._content = points(self.tables.songs, self.state)
        self._seeds = tuple(int(seed) for seed in self.state["seeds"])

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        scores = np.empty((len(listener_rows), self.tables.n_songs))

        def fill(block: slice) -> None:
            vote(*self._neighbours(listener_rows[block], current_song), self._members, scores[block])

        mapped(fill, [slice(start, start + BLOCK) for start in range(0, len(scores), BLOCK)])
        if current_song is not None:
            best = np.nanmax(scores, axis=1, keepdims=True, initial=0.0)
            weight = self.params["current_weight"]
            scores = (1 - weight) * scores / np.where(best > 0, best, 1.0) + weight * self._nearness(current_song)
        return drawn(scores, self.params["sampling"], self._seeds[1], listener_rows)

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """How many neighbours heard the song, and the listener's own songs that made these neighbours."""
        listener_row, song_row = self.tables.listener_rows([listener_id]), self.tables.song_rows([song_id])[0]
        found, likenesses = self._neighbours(listener_row, None)
        listeners, parts = self._of_song(song_row)
        _, heard, voting = np.intersect1d(listeners, found[0], return_indices=True)
        if not len(voting):
            return ()
        # A vote sums over the own songs: weight of the own song x its part of the neighbour x the song's part of them,
        # times what the centroids add.
        own = self._weighted[listener_row]
        vectors = self._matrix(self._members)[listeners[heard]]
        pulls = parts[heard] * likenesses[0, voting] / (vectors @ own.toarray()[0])
        summands = own.data * (vectors.T @ pulls)[own.indices]
        strongest = np.argsort(-summands, kind="stable")[:SONGS_SHOWN]
        shared = self.tables.songs.ids[own.indices[strongest[summands[strongest] > 0]]]
        return (Reason(kind="listeners", share=1.0, song_ids=tuple(shared.tolist()), value=float(len(voting))),)

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

    def _neighbours(self, listener_rows: Rows, current_song: int | None) -> tuple[Rows, Floats]:
        """The neighbours of these listeners and their likeness, as `neighbours.nearest` gives them."""
        histories = self._weighted[listener_rows]
        candidates = np.ones(len(self.state["listener_ids"]), dtype=np.bool_)
        if current_song is not None:
            histories = self._with_current(histories, current_song)
            candidates[:] = False
            candidates[self._of_song(current_song)[0]] = True
        return nearest(
            Compressed.of(_unit(histories)),
            self._own_member[listener_rows],
            _centroids(self._content, histories),
            self._by_song,
            self.state["centroids"],
            float(self.params["centroid_share"]),
            candidates,
            SAMPLINGS.index(self.params["sampling"]),
            self._seeds[0],
            listener_rows,
            min(self.params["n_neighbours"], len(candidates)),
        )

    def _with_current(self, histories: sparse.csr_array, current_song: int) -> sparse.csr_array:
        """The song now playing stands in the history as played once, if it does not stand there more firmly."""
        m = histories.shape[0]
        playing = sparse.csr_array(
            (np.full(m, self._rarity[current_song]), (np.arange(m), np.full(m, current_song))), shape=histories.shape
        )
        return sparse.csr_array(histories.maximum(playing))

    def _of_song(self, song_row: int) -> tuple[NDArray[np.int32], Floats]:
        """The members who heard a song, and its part of the vector of each."""
        entries = slice(*self._by_song.starts[song_row : song_row + 2])
        return self._by_song.places[entries], self._by_song.values[entries]

    def _nearness(self, current_song: int) -> Floats:
        """Cosine of each song's listeners and the current song's, 0..1, float64 (n_songs,)."""
        listeners = self._of_song(current_song)[0]
        heard = self._matrix(self._members)[listeners].indices
        together = np.bincount(heard, minlength=self.tables.n_songs).astype(np.float64)
        lengths = np.sqrt(np.diff(self._by_song.starts) * float(len(listeners)))
        nearness: Floats = np.divide(together, lengths, out=np.zeros_like(together), where=lengths > 0)
        return nearness

    def _matrix(self, members: Compressed) -> sparse.csr_array:
        """Members' vectors as a matrix that shares their arrays."""
        shape = (len(members.starts) - 1, self.tables.n_songs)
        return sparse.csr_array((members.values, members.places, members.starts), shape=shape)


def _histories(tables: Tables, repetition_power: float) -> sparse.csr_array:
    """Preference x damped repetition ^ power, CSR (n_listeners, n_songs) > 0."""
    weights = damped_repetitions(tables)
    weights.data **= repetition_power
    histories = sparse.csr_array(weights.multiply(preferences(tables)))
    histories.eliminate_zeros()
    return histories


def _rarity(histories: sparse.csr_array, power: float) -> Floats:
    """log(1 + listeners / listeners of the song) ^ power, float64 (n_songs,)."""
    n_listeners = np.bincount(histories.indices, minlength=histories.shape[1])
    rarity: Floats = np.log1p(histories.shape[0] / np.maximum(n_listeners, 1)) ** power
    return rarity


def _lengths(histories: sparse.csr_array) -> Floats:
    lengths: Floats = np.sqrt(histories.multiply(histories).sum(axis=1))
    return lengths


def _unit(histories: sparse.csr_array) -> sparse.csr_array:
    """Rows scaled to length 1; empty rows stay empty."""
    lengths = _lengths(histories)
    return sparse.csr_array(histories * (1.0 / np.where(lengths > 0, lengths, 1.0))[:, None])


def _parts(histories: sparse.csr_array, length_power: float) -> sparse.csr_array:
    """Rows over length ^ power x the longest's length ^ (1 - power), so that no row is longer than 1."""
    lengths = _lengths(histories)
    divisors = np.where(lengths > 0, lengths, 1.0) ** length_power * lengths.max(initial=0.0) ** (1.0 - length_power)
    return sparse.csr_array(histories * (1.0 / np.where(divisors > 0, divisors, 1.0))[:, None])


def _centroids(content: Points, histories: sparse.csr_array) -> Singles:
    """The middle of each history in the space of content, float32 (m, d) of length 1, or 0 where nothing is known."""
    m = histories.shape[0]
    blocks = [histories[start : start + BLOCK_CENTROIDS] for start in range(0, m, BLOCK_CENTROIDS)]
    middles = [content.middles(block) for block in blocks or [histories]]
    vectors = np.vstack([np.hstack([middle.line, middle.names]).astype(np.float32) for middle in middles])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1.0)
    return vectors
