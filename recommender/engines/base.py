"""The contract every engine keeps.

An engine is a learned state (arrays) standing on tables (what listeners have done so far). `fit` learns
the state; `on` sets the same state on fresh tables, so a listener of five minutes' standing is served
without retraining: whatever an engine needs to know of a listener it folds in from the tables.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.ranking import top_n
from recommender.engines.tables import Floats, Rows, Tables
from recommender.engines.threads import mapped

Params = Mapping[str, Any]
State = Mapping[str, NDArray[Any]]

WHOLE = (int, np.integer)
NUMBERS = (int, float, np.integer, np.floating)
BATCH = 512  # listeners served at once
BLOCK_FLOATS = 1 << 22  # listeners x songs scored at once: 32 MiB


@dataclass(frozen=True)
class Reason:
    """One summand of a score, as data.

    kind : what spoke, one of "played", "rated", "picked" (songs of the listener's own), "listeners"
        (neighbours, anonymous), "column" (a song column), "genre".
    share : float, its part of the whole explanation, 0..1; the shares of an explanation sum to at most 1.
    song_ids : the listener's own songs that spoke, strongest first.
    value : the number or name behind it (neighbours counted, rank in a column, genre name).
    detail : which column, feature or engine it concerns; "" where nothing is to say.
    """

    kind: str
    share: float
    song_ids: tuple[Any, ...] = ()
    value: float | str | None = None
    detail: str = ""


class Engine(ABC):
    """A fitted engine: `params` and learned `state` standing on `tables`."""

    name: ClassVar[str]
    title: ClassVar[str]  # its name in the band
    needs: ClassVar[tuple[str, ...]]  # tables it cannot learn without
    defaults: ClassVar[Params]
    # Of a number its least and most, of a word those there are; a parameter whose default is None may be None.
    ranges: ClassVar[Mapping[str, tuple[float, float] | tuple[str, ...]]] = {}

    def __init__(self, tables: Tables, params: Params, state: State) -> None:
        self.tables = tables
        self.params = dict(params)
        self.state = state
        self._prepare()

    @classmethod
    def fit(cls, tables: Tables, params: Params | None = None, *, rng: np.random.Generator) -> Self:
        """Learn from `tables`.

        params : overrides of `defaults`; an unknown name or a value out of range raises ParameterOutOfRange.
        rng : the only source of randomness; the same rng state gives the same engine.
        Raises TableNeeded where a table in `needs` has no rows.
        """
        tables.require(cls.name, *cls.needs)
        settled = cls.settle(params)
        return cls(tables, settled, cls.learn(tables, settled, rng))

    @classmethod
    def settle(cls, params: Params | None) -> Params:
        """Defaults overridden by `params`. Raises ParameterOutOfRange on an unknown name or a value out of range."""
        unknown = sorted(set(params or {}) - set(cls.defaults))
        if unknown:
            there_are = ", ".join(cls.defaults) or "none"
            raise ParameterOutOfRange(f"{cls.name} has no parameter {', '.join(unknown)}; it has {there_are}")
        settled = {**cls.defaults, **(params or {})}
        for name in cls.ranges:
            cls._check_range(name, settled[name])
        return settled

    @classmethod
    def _check_range(cls, name: str, value: Any) -> None:
        default, allowed = cls.defaults[name], cls.ranges[name]
        if value is None and default is None:
            return
        if isinstance(allowed[0], str):
            right, wanted = value in allowed, " or ".join(map(str, allowed))
        else:
            kinds, word = (WHOLE, "whole number") if isinstance(default, int) else (NUMBERS, "number")
            right = isinstance(value, kinds) and bool(allowed[0] <= value <= allowed[1])
            wanted = f"a {word} from {allowed[0]:g} to {allowed[1]:g}"
        if not right:
            raise ParameterOutOfRange(f"{cls.name}: {name} is {value!r}; it must be {wanted}")

    def on(self, tables: Tables) -> Self:
        """The same learned state on other tables: new listeners are folded in, new songs have no opinion
        unless the engine reads content."""
        return type(self)(tables, self.params, self.state)

    @classmethod
    @abstractmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """The learned arrays, named; what artefacts keep. `song_ids` among them where they are per song."""

    def _prepare(self) -> None:  # noqa: B027 - a hook: an engine with nothing to derive leaves it empty
        """Derive from state and tables what scoring needs, once per `on`."""

    @abstractmethod
    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """Scores of all songs for these listener rows, float64 (m, n_songs), NaN = no opinion.

        current_song : the row of the song now playing, or None.
        """

    @abstractmethod
    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """The engine's own arithmetic for one song, strongest reason first; () where it has no opinion."""

    def recommend(
        self,
        listener_ids: Sequence[Any] | NDArray[Any] | pd.Index,
        n: int,
        *,
        exclude_heard: bool = True,
        current_song: Any = None,
    ) -> tuple[NDArray[Any], Floats]:
        """The n best songs of each listener, best first.

        listener_ids : (m,) ids, in the order the answer is given.
        exclude_heard : leave out what the listener has played, rated or picked at sign-up.
        current_song : id of the song now playing; never recommended itself.
        Returns ids (m, n) of the tables' song id type and scores float64 (m, n); where there are fewer
        songs with an opinion the rest is padded with id -1 and score NaN. Ties fall to the lower song row.
        Raises UnknownListener, UnknownSong, ParameterOutOfRange (n < 1).
        """
        check_length(n)
        listener_rows = self.tables.listener_rows(listener_ids)
        current_row = row_of_current(self.tables, current_song)
        rows = np.full((len(listener_rows), n), -1, dtype=np.int64)
        scores = np.full((len(listener_rows), n), np.nan)
        chunks = [slice(start, start + BATCH) for start in range(0, len(listener_rows), BATCH)]
        lists = mapped(lambda chunk: self._best(listener_rows[chunk], n, current_row, exclude_heard), chunks)
        for chunk, listed in zip(chunks, lists, strict=True):
            rows[chunk], scores[chunk] = listed
        return self.tables.song_ids(rows), scores

    def score(self, listener_id: Any, song_ids: Iterable[Any], *, current_song: Any = None) -> Floats:
        """Scores of these songs for one listener, float64 (n,) in the order asked; NaN = no opinion."""
        listener_rows = self.tables.listener_rows([listener_id])
        current_row = row_of_current(self.tables, current_song)
        scores: Floats = self.score_rows(listener_rows, current_row)[0, self.tables.song_rows(song_ids)]
        return scores

    def _best(self, listener_rows: Rows, n: int, current_row: int | None, exclude_heard: bool) -> tuple[Rows, Floats]:
        """The n best songs of these listeners, `BATCH` of them at most: song rows int64 (m, n), padded with -1, and
        scores float64 (m, n), padded with NaN.

        An engine that finds them without scoring every song overrides this; blocks are worked side by side in
        threads, so it must not change the engine. What it lists and how must be what this would, within rounding.
        """
        rows = np.empty((len(listener_rows), n), dtype=np.int64)
        scores = np.empty((len(listener_rows), n))
        step = max(1, BLOCK_FLOATS // max(self.tables.n_songs, 1))
        for start in range(0, len(listener_rows), step):
            chunk = slice(start, start + step)
            block = self.score_rows(listener_rows[chunk], current_row)
            assert block.shape == (len(listener_rows[chunk]), self.tables.n_songs), block.shape
            block[unwanted(self.tables, listener_rows[chunk], current_row, exclude_heard).tocoo().coords] = np.nan
            rows[chunk], scores[chunk] = top_n(block, n)
        return rows, scores


def check_length(n: int) -> None:
    """Raise ParameterOutOfRange unless a list of n songs holds at least one."""
    if n < 1:
        raise ParameterOutOfRange(f"n is {n}; at least one song must be asked for")


def row_of_current(tables: Tables, current_song: Any) -> int | None:
    """Row of the song now playing, None where none is. Raises UnknownSong."""
    return None if current_song is None else int(tables.song_rows([current_song])[0])


def unwanted(tables: Tables, listener_rows: Rows, current_row: int | None, exclude_heard: bool) -> sparse.csr_array:
    """What is not to be recommended to these listeners: the entries of a CSR (m, n_songs), their indices in order.

    What a listener blocked is among it whether or not what they heard is.
    """
    barred = tables.blocked(listener_rows)
    if exclude_heard:
        barred = barred + tables.familiar[listener_rows]
    if current_row is not None:
        everyone = np.arange(len(listener_rows))
        entries = (np.ones(len(everyone)), (everyone, np.full(len(everyone), current_row)))
        barred = barred + sparse.csr_array(entries, shape=barred.shape)
    barred.sort_indices()
    return barred
