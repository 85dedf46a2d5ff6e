"""The music manager: every engine's opinion on one scale, averaged by weight into one list.

The scale. An engine's scores for a listener are standardised: mean 0 and standard deviation 1 over the songs
that the listener does not know yet and the engine has an opinion on. (An engine that thinks the same of all of
them says 0.)

The average. A song scores sum_e w_e z_e / sum_e w_e over the engines that have an opinion on any song for this
listener: an engine that knows nothing of the listener gives its weight to the others. An engine that knows the
listener but not the song keeps its weight and says 0, its average. If it gave its weight away there, a song that
one engine alone speaks for would be judged by that engine's outliers against the average of many, and would win.
A song on which no engine has an opinion has none: NaN.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import EngineFault, ParameterOutOfRange, TableNeeded, UnknownEngine
from recommender.engines import ENGINES
from recommender.engines.base import Engine, Params, Reason, check_length, row_of_current, unwanted
from recommender.engines.feedback import accuracy_weights, uniform_weights
from recommender.engines.metrics import evaluate
from recommender.engines.opinions import Opinions
from recommender.engines.ranking import capped_top_n, top_n
from recommender.engines.splits import split
from recommender.engines.tables import Floats, Rows, Tables
from recommender.engines.threads import mapped

BATCH_FLOATS = 1 << 22  # engines x listeners x songs blended at once: 32 MiB a block
MAX_PER_ARTIST = 2
STRATEGIES = ("uniform", "accuracy")
TRUST = (0, 1, 2, 4)  # powers of held-out accuracy tried as weights; 0 is the uniform blend
N_JUDGES = 1000  # listeners on whom a blend is tried

Ids = Sequence[Any] | NDArray[Any] | pd.Index


class Hybrid:
    """Fitted engines on the same tables, and what each weighs. Keeps the contract of `Engine`.

    engines : by name.
    weights : by engine, >= 0, brought to the sum 1; an engine without one weighs 0, one that is not here is passed
        over. Default uniform.
    max_per_artist : songs of one artist in each ten places of a list, >= 1, or None for no cap.
    left_out : engines that could not be fitted, and why.
    """

    name: ClassVar[str] = "hybrid"
    title: ClassVar[str] = "Music manager"

    def __init__(
        self,
        engines: Mapping[str, Engine],
        weights: Mapping[str, float] | None = None,
        *,
        max_per_artist: int | None = MAX_PER_ARTIST,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        if not engines:
            raise EngineFault("a hybrid needs at least one engine")
        if max_per_artist is not None and max_per_artist < 1:
            raise ParameterOutOfRange(f"max_per_artist is {max_per_artist}; it must be at least 1, or None")
        self.engines = dict(engines)
        self.weights = _settled(uniform_weights(list(engines)) if weights is None else weights, engines)
        self.max_per_artist = max_per_artist
        self.left_out = dict(left_out or {})
        self.tables = next(iter(self.engines.values())).tables
        assert all(engine.tables is self.tables for engine in self.engines.values())

    @classmethod
    def fit(
        cls,
        tables: Tables,
        *,
        rng: np.random.Generator,
        strategy: str = "accuracy",
        params: Mapping[str, Params] | None = None,
        max_per_artist: int | None = MAX_PER_ARTIST,
    ) -> Self:
        """Fit every engine that has the tables it needs, and weigh them.

        strategy : "uniform", or "accuracy": weights in proportion to a power of each engine's ndcg@10 on an inner
            validation split, that power of `TRUST` whose blend does best there.
        params : of engines, by name.
        Raises TableNeeded where no engine has what it needs; names those without in `left_out`.
        """
        if strategy not in STRATEGIES:
            raise ParameterOutOfRange(f"no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
        weights = None
        if strategy == "accuracy":
            weights = _learned_weights(tables, rng, params or {}, max_per_artist)
        engines, left_out = fit_engines(tables, rng=rng, params=params)
        return cls(engines, weights, max_per_artist=max_per_artist, left_out=left_out)

    def on(self, tables: Tables) -> Self:
        """The same engines and weights on other tables."""
        engines = {name: engine.on(tables) for name, engine in self.engines.items()}
        return type(self)(engines, self.weights, max_per_artist=self.max_per_artist, left_out=self.left_out)

    def reweighted(self, weights: Mapping[str, float]) -> Self:
        """The same engines under other weights."""
        return type(self)(self.engines, weights, max_per_artist=self.max_per_artist, left_out=self.left_out)

    def recommend(
        self, listener_ids: Ids, n: int, *, exclude_heard: bool = True, current_song: Any = None
    ) -> tuple[NDArray[Any], Floats]:
        """As `Engine.recommend`, with artists capped."""
        ids, scores, _ = self.blend(listener_ids, n, exclude_heard=exclude_heard, current_song=current_song)
        return ids, scores

    def blend(
        self,
        listener_ids: Ids,
        n: int,
        *,
        exclude_heard: bool = True,
        current_song: Any = None,
        exclude: sparse.csr_array | None = None,
    ) -> tuple[NDArray[Any], Floats, Floats]:
        """The n best songs of each listener, and whose doing each is.

        exclude : CSR (m, n_songs) in the order of `listener_ids`; its entries are not recommended either.
        Returns ids (m, n) and scores float64 (m, n) as `Engine.recommend` does, and shares float64
        (m, n, engines) in the order of `engines`: >= 0, summing to 1 for each song; 0 at padding.
        """
        check_length(n)
        listener_rows = self.tables.listener_rows(listener_ids)
        current_row = row_of_current(self.tables, current_song)
        rows = np.full((len(listener_rows), n), -1, dtype=np.int64)
        scores = np.full(rows.shape, np.nan)
        shares = np.zeros((*rows.shape, len(self.engines)))
        step = max(1, BATCH_FLOATS // (len(self.engines) * max(self.tables.n_songs, 1)))
        chunks = [slice(start, start + step) for start in range(0, len(listener_rows), step)]

        def blend(chunk: slice) -> tuple[Rows, Floats, Floats]:
            opinions = self._opinions(listener_rows[chunk], current_row)
            block = opinions.scores()
            left_out = unwanted(self.tables, listener_rows[chunk], current_row, exclude_heard)
            block[left_out.tocoo().coords] = np.nan
            if exclude is not None:
                block[exclude[chunk].tocoo().coords] = np.nan
            best, best_scores = self._best(block, n)
            return best, best_scores, opinions.shares(best)

        for chunk, blended in zip(chunks, mapped(blend, chunks), strict=True):
            rows[chunk], scores[chunk], shares[chunk] = blended
        return self.tables.song_ids(rows), scores, shares

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """Scores of all songs for these listener rows, float64 (m, n_songs), NaN = no opinion."""
        return self._opinions(listener_rows, current_song).scores()

    def score(self, listener_id: Any, song_ids: Iterable[Any], *, current_song: Any = None) -> Floats:
        """Scores of these songs for one listener, float64 (n,) in the order asked; NaN = no opinion."""
        listener_rows = self.tables.listener_rows([listener_id])
        scores: Floats = self.score_rows(listener_rows, row_of_current(self.tables, current_song))[0]
        return scores[self.tables.song_rows(song_ids)]

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """The engines' own reasons, each times its engine's share and with the engine's name as its detail."""
        song_row = self.tables.song_rows([song_id])
        opinions = self._opinions(self.tables.listener_rows([listener_id]), None)
        shares = opinions.shares(song_row[None, :])[0, 0]
        reasons = [
            replace(reason, share=float(share * reason.share), detail=name)
            for (name, engine), share in zip(self.engines.items(), shares, strict=True)
            if share > 0
            for reason in engine.explain(listener_id, song_id)
        ]
        return tuple(sorted(reasons, key=lambda reason: -reason.share))

    def _opinions(self, listener_rows: Rows, current_row: int | None) -> Opinions:
        said = [engine.score_rows(listener_rows, current_row) for engine in self.engines.values()]
        return Opinions.of(said, self.tables.known[listener_rows], [self.weights[name] for name in self.engines])

    def _best(self, scores: Floats, n: int) -> tuple[Rows, Floats]:
        if self.max_per_artist is None:
            return top_n(scores, n)
        return capped_top_n(scores, n, self.tables.songs.artists, self.max_per_artist)


def fit_engines(
    tables: Tables, *, rng: np.random.Generator, params: Mapping[str, Params] | None = None
) -> tuple[dict[str, Engine], dict[str, str]]:
    """Every engine that has the tables it needs, fitted, by name; and the others by name with what they lack."""
    engines, left_out = {}, {}
    for name, engine in ENGINES.items():
        try:
            engines[name] = engine.fit(tables, (params or {}).get(name), rng=rng)
        except TableNeeded as fault:
            left_out[name] = str(fault)
    if not engines:
        raise TableNeeded(f"no engine has what it needs: {'; '.join(left_out.values())}")
    return engines, left_out


def _settled(weights: Mapping[str, float], engines: Mapping[str, Engine]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(ENGINES) - set(engines))
    if unknown:
        raise UnknownEngine(f"no engine {', '.join(unknown)}; there are {', '.join(engines)}")
    settled = {name: float(weights.get(name, 0.0)) for name in engines}
    total = sum(settled.values())
    if not all(weight >= 0 for weight in settled.values()) or not 0 < total < np.inf:
        raise ParameterOutOfRange(f"weights must be numbers from 0 with one above it, not {dict(weights)}")
    return {name: weight / total for name, weight in settled.items()}


def _learned_weights(
    tables: Tables, rng: np.random.Generator, params: Mapping[str, Params], max_per_artist: int | None
) -> dict[str, float] | None:
    """Weights by accuracy on an inner split; None (uniform) where no listener knows two songs."""
    train, held_out = split(tables, rng=rng)
    if not held_out.nnz:
        return None
    held_out = _sampled_rows(held_out, rng)
    engines, _ = fit_engines(train, rng=rng, params=params)
    ndcg = {name: evaluate(engine, held_out).ndcg.mean for name, engine in engines.items()}
    blends = [accuracy_weights({name: value**trust for name, value in ndcg.items()}) for trust in TRUST]
    gains = [evaluate(Hybrid(engines, blend, max_per_artist=max_per_artist), held_out).ndcg.mean for blend in blends]
    return blends[int(np.argmax(gains))]


def _sampled_rows(held_out: sparse.csr_array, rng: np.random.Generator) -> sparse.csr_array:
    """Only the held-out songs of `N_JUDGES` listeners at most."""
    listeners = np.flatnonzero(np.diff(held_out.indptr))
    judges = np.zeros(held_out.shape[0])
    judges[rng.permutation(listeners)[:N_JUDGES]] = 1.0
    sampled = sparse.csr_array(held_out * judges[:, None])
    sampled.eliminate_zeros()
    return sampled
