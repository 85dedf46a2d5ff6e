"""The music manager: every engine's opinion on one scale, averaged by weight into one list.

The scale. An engine's scores for a listener are standardised: mean 0 and standard deviation 1 over the songs
that the listener does not know yet and the engine has an opinion on. (An engine that thinks the same of all of
them says 0.)

The average. A song scores sum_e w_e z_e / sum_e w_e over the engines that have an opinion on any song for this
listener: an engine that knows nothing of the listener gives its weight to the others. An engine that knows the
listener but not the song keeps its weight and says 0, its average. If it gave its weight away there, a song that
one engine alone speaks for would be judged by that engine's outliers against the average of many, and would win.

The fallback. Where nobody with a weight knows the listener, the other engines stand in, all alike. Songs on which
none of those heard has an opinion follow in the order of `FALLBACK`, so that no list is shorter than it must be; in a
band without it they have no score: NaN.

The list obeys `Rules`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import EngineFault, ParameterOutOfRange, TableNeeded, UnknownEngine
from recommender.engines import ENGINES
from recommender.engines.base import Engine, Params, Reason, check_length, row_of_current, unwanted
from recommender.engines.opinions import Opinions, following
from recommender.engines.ranking import interleaved_top_n, top_n, values_at
from recommender.engines.splits import split
from recommender.engines.stacking import Trial, learn_blend
from recommender.engines.tables import Floats, Rows, Tables
from recommender.engines.threads import mapped
from recommender.engines.weighing import STRATEGIES, Uniform

BATCH_FLOATS = 1 << 22  # engines x listeners x songs blended at once: 32 MiB a block
FALLBACK = "relevance"  # what most people play orders what nobody has an opinion on
SCOUT = "coolstart"  # knows a song that nobody has played
HIDDEN = 0.1  # of what is known, by which a blend is learned: the more, the less the engines are those that will serve
N_JUDGES = 2000  # listeners on whom a blend is tried in one split
N_TRIALS = 4000  # judgements wanted in all, over several splits where listeners are few ...
MOST_SPLITS = 8  # ... but no more of them than this
REACH = 2.0  # standard deviations by which the slider at its end lifts the songs of familiar artists
DAY = 86_400 * 10**9  # nanoseconds
EVER = np.inf  # when something was heard whose moment nobody knows: always within the window

Ids = Sequence[Any] | NDArray[Any] | pd.Index


@dataclass(frozen=True)
class Rules:
    """What every list of the hybrid obeys, besides naming no song twice and none that is blocked.

    max_per_artist : songs of one artist in any ten places that follow each other, >= 1, or None for no cap. A list ends
        where only songs above it are left.
    window_days : songs played or rated so many days ago or less are out, and those of which nobody knows when, or that
        were picked at sign-up. 0 = none is out; None = whatever is known or was picked is, however long ago.
    new_share : 0..1, the part of the places that songs without any play get, by the opinion of `SCOUT`, and the most
        they get while there are others. None = they compete like all others.
    Raises ParameterOutOfRange.
    """

    max_per_artist: int | None = 2
    window_days: float | None = None
    new_share: float | None = None

    def __post_init__(self) -> None:
        if self.max_per_artist is not None and self.max_per_artist < 1:
            raise ParameterOutOfRange(f"max_per_artist is {self.max_per_artist}; it must be at least 1, or None")
        if self.window_days is not None and not 0 <= self.window_days < np.inf:
            raise ParameterOutOfRange(f"window_days is {self.window_days}; it must be a number of days from 0, or None")
        if self.new_share is not None and not 0 <= self.new_share <= 1:
            raise ParameterOutOfRange(f"new_share is {self.new_share}; it must be a share from 0 to 1, or None")

    def reserved(self, n: int) -> NDArray[np.bool_]:
        """Which of n places are for new songs: of any beginning of the list no more than their share."""
        due = np.floor(np.arange(n + 1) * (self.new_share or 0.0) + 1e-9)
        places: NDArray[np.bool_] = np.diff(due) > 0
        return places


class Hybrid:
    """Fitted engines on the same tables, and what each weighs. Keeps the contract of `Engine`.

    engines : by name.
    weights : by engine, >= 0, brought to the sum 1; an engine without one weighs 0, one that is not here is passed
        over. Default uniform.
    rules : what lists obey. left_out : engines that could not be fitted, and why.
    """

    name: ClassVar[str] = "hybrid"
    title: ClassVar[str] = "Music manager"

    def __init__(
        self,
        engines: Mapping[str, Engine],
        weights: Mapping[str, float] | None = None,
        *,
        rules: Rules | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        if not engines:
            raise EngineFault("a hybrid needs at least one engine")
        self.engines = dict(engines)
        self.weights = _settled(dict.fromkeys(engines, 1.0) if weights is None else weights, engines)
        self.rules = rules or Rules()
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
        rules: Rules | None = None,
    ) -> Self:
        """Fit every engine that has the tables it needs, and weigh them.

        strategy : of `STRATEGIES`. "uniform" weighs all alike; "accuracy" learns weights on inner validation splits
            (`learned_weights`), with which "thompson" begins.
        params : of engines, by name.
        Raises TableNeeded where no engine has what it needs; names those without in `left_out`.
        """
        if strategy not in STRATEGIES:
            raise ParameterOutOfRange(f"no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
        weights = None
        if strategy != Uniform.name:
            weights = learned_weights(tables, rng=rng, params=params, rules=rules)
        engines, left_out = fit_engines(tables, rng=rng, params=params)
        return cls(engines, weights, rules=rules, left_out=left_out)

    def on(self, tables: Tables) -> Self:
        """The same engines, weights and rules on other tables."""
        engines = {name: engine.on(tables) for name, engine in self.engines.items()}
        return type(self)(engines, self.weights, rules=self.rules, left_out=self.left_out)

    def reweighted(self, weights: Mapping[str, float]) -> Self:
        """The same engines and rules under other weights."""
        return type(self)(self.engines, weights, rules=self.rules, left_out=self.left_out)

    def recommend(
        self, listener_ids: Ids, n: int, *, exclude_heard: bool = True, current_song: Any = None
    ) -> tuple[NDArray[Any], Floats]:
        """As `Engine.recommend`, by the rules."""
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
        weights: Floats | None = None,
        leaning: Floats | None = None,
        now: np.datetime64 | None = None,
    ) -> tuple[NDArray[Any], Floats, Floats]:
        """The n best songs of each listener, and whose doing each is.

        exclude_heard : False lets all back in that was heard, whatever the window.
        exclude : CSR (m, n_songs) in the order of `listener_ids`; its entries are not recommended either.
        weights : float64 (m, engines) >= 0, each listener's own in the order of `engines`; default those of the band.
        leaning : float64 (m,) in -1..1: towards artists the listener knows (1) or does not know (-1); default 0.
        now : when the window ends; default the latest moment in the tables.
        Returns ids (m, n) and scores float64 (m, n) as `Engine.recommend` does, and shares float64
        (m, n, engines) in the order of `engines`: >= 0, summing to 1 for each song; 0 at padding.
        Scores fall, save where a rule brought a song forward. Raises also ParameterOutOfRange (weights, leaning).
        """
        check_length(n)
        listener_rows = self.tables.listener_rows(listener_ids)
        current_row = row_of_current(self.tables, current_song)
        own = self._own_weights(len(listener_rows), weights)
        leans = _settled_leaning(len(listener_rows), leaning)
        reserved = self.rules.reserved(n)
        rows = np.full((len(listener_rows), n), -1, dtype=np.int64)
        scores = np.full(rows.shape, np.nan)
        shares = np.zeros((*rows.shape, len(self.engines)))
        step = max(1, BATCH_FLOATS // (len(self.engines) * max(self.tables.n_songs, 1)))
        chunks = [slice(start, start + step) for start in range(0, len(listener_rows), step)]

        def blend(chunk: slice) -> tuple[Rows, Floats, Floats]:
            opinions = self._opinions(listener_rows[chunk], current_row, own[chunk])
            block = opinions.scores()
            self._lean(block, listener_rows[chunk], leans[chunk])
            barred = self._barred(listener_rows[chunk], current_row, exclude_heard, now)
            block[barred.tocoo().coords] = np.nan
            if exclude is not None:
                block[exclude[chunk].tocoo().coords] = np.nan
            best, best_scores = self._best(block, opinions, reserved)
            return best, best_scores, opinions.shares(best)

        for chunk, blended in zip(chunks, mapped(blend, chunks), strict=True):
            rows[chunk], scores[chunk], shares[chunk] = blended
        return self.tables.song_ids(rows), scores, shares

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """Scores of all songs for these listener rows, float64 (m, n_songs), NaN = no opinion."""
        return self._opinions(listener_rows, current_song, self._own_weights(len(listener_rows))).scores()

    def score(self, listener_id: Any, song_ids: Iterable[Any], *, current_song: Any = None) -> Floats:
        """Scores of these songs for one listener, float64 (n,) in the order asked; NaN = no opinion."""
        listener_rows = self.tables.listener_rows([listener_id])
        scores: Floats = self.score_rows(listener_rows, row_of_current(self.tables, current_song))[0]
        return scores[self.tables.song_rows(song_ids)]

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """The engines' own reasons, each times its engine's share and with the engine's name as its detail."""
        song_row = self.tables.song_rows([song_id])
        opinions = self._opinions(self.tables.listener_rows([listener_id]), None, self._own_weights(1))
        shares = opinions.shares(song_row[None, :])[0, 0]
        reasons = [
            replace(reason, share=float(share * reason.share), detail=name)
            for (name, engine), share in zip(self.engines.items(), shares, strict=True)
            if share > 0
            for reason in engine.explain(listener_id, song_id)
        ]
        return tuple(sorted(reasons, key=lambda reason: -reason.share))

    def _own_weights(self, m: int, weights: Floats | None = None) -> Floats:
        """Weights of each of m listeners, float64 (m, engines)."""
        if weights is None:
            return np.tile([self.weights[name] for name in self.engines], (m, 1))
        assert weights.shape == (m, len(self.engines)), weights.shape
        if not ((weights >= 0).all() and np.isfinite(weights).all() and weights.any(axis=1).all()):
            raise ParameterOutOfRange("each listener's weights must be numbers from 0 with one above it")
        return weights

    def _opinions(self, listener_rows: Rows, current_row: int | None, weights: Floats) -> Opinions:
        said = [engine.score_rows(listener_rows, current_row) for engine in self.engines.values()]
        fallback = list(self.engines).index(FALLBACK) if FALLBACK in self.engines else None
        return Opinions.of(said, self.tables.known[listener_rows], weights, fallback)

    def _barred(
        self, listener_rows: Rows, current_row: int | None, exclude_heard: bool, now: np.datetime64 | None
    ) -> sparse.csr_array:
        """What must not be listed, the entries of a CSR (m, n_songs)."""
        days = self.rules.window_days
        if days is None or not exclude_heard:
            return unwanted(self.tables, listener_rows, current_row, exclude_heard)
        barred = unwanted(self.tables, listener_rows, current_row, exclude_heard=False)
        if days == 0:
            return barred
        heard = self._heard[listener_rows]
        moment = self._latest if now is None else float(now.astype("datetime64[ns]").astype(np.int64))
        heard.data = (heard.data >= moment - days * DAY).astype(np.float64)
        heard.eliminate_zeros()
        return sparse.csr_array(barred + heard)

    @cached_property
    def _heard(self) -> sparse.csr_array:
        """When each familiar song was last played or rated, in nanoseconds, CSR float64 (n_listeners, n_songs)."""
        history, ratings = self.tables.history, self.tables.ratings
        played = _moments(self.tables, history.listener_rows, history.song_rows, history.last_played_at)
        rated = _moments(self.tables, ratings.listener_rows, ratings.song_rows, ratings.rated_at)
        picked = self.tables.picked * EVER
        return sparse.csr_array(played.maximum(rated).maximum(picked))

    @cached_property
    def _latest(self) -> float:
        """The latest moment in the tables in nanoseconds; where none is known, every window is open."""
        known = self._heard.data[np.isfinite(self._heard.data)]
        return float(known.max()) if len(known) else 0.0

    def _lean(self, block: Floats, listener_rows: Rows, leaning: Floats) -> None:
        """Lift the songs of artists these listeners know, as far as each leans."""
        leans = np.flatnonzero(leaning)
        if not len(leans):
            return
        known = (self.tables.familiar[listener_rows[leans]] @ self._artists) > 0
        familiar = sparse.csr_array(known, dtype=np.float64) @ self._artists.T
        block[leans] += REACH * leaning[leans, None] * familiar.toarray()

    @cached_property
    def _artists(self) -> sparse.csr_array:
        """1 where a song is by the artist, CSR float64 (n_songs, n_artists)."""
        artists = self.tables.songs.artists
        known = np.flatnonzero(artists >= 0)
        shape = (self.tables.n_songs, len(self.tables.songs.artist_names))
        return sparse.csr_array((np.ones(len(known)), (known, artists[known])), shape=shape)

    @cached_property
    def _unplayed(self) -> NDArray[np.bool_]:
        """Which songs nobody has played or rated, bool (n_songs,)."""
        unplayed: NDArray[np.bool_] = np.bincount(self.tables.known.indices, minlength=self.tables.n_songs) == 0
        return unplayed

    def _best(self, scores: Floats, opinions: Opinions, reserved: NDArray[np.bool_]) -> tuple[Rows, Floats]:
        """The first songs by the rules, as many as there are places."""
        n, cap, artists = len(reserved), self.rules.max_per_artist, self.tables.songs.artists
        if self.rules.new_share is None and cap is None:
            return top_n(scores, n)
        played, new = scores, np.full((len(scores), 0), np.nan)
        if self.rules.new_share is not None:
            played = np.where(self._unplayed, np.nan, scores)
            new = np.where(self._unplayed & ~np.isnan(scores), self._scouted(opinions, scores), np.nan)
        rows = interleaved_top_n(played, new, reserved, artists, n if cap is None else cap)
        return rows, values_at(scores, rows)

    def _scouted(self, opinions: Opinions, scores: Floats) -> Floats:
        """Scores by which new songs are ranked: the scout's, and below them, where it has none, the blend's."""
        if SCOUT not in self.engines:
            return scores
        return following(opinions.said[list(self.engines).index(SCOUT)], scores)


def learned_weights(
    tables: Tables,
    *,
    rng: np.random.Generator,
    params: Mapping[str, Params] | None = None,
    rules: Rules | None = None,
    names: Iterable[str] = ENGINES,
) -> dict[str, float] | None:
    """Weights by engine under which the blend finds most of what is hidden from the tables: what "accuracy" means.

    Engines are fitted on inner splits of the tables, several where listeners are few, and weighed by `learn_blend`,
    with the artists capped; popularity is heard only where it surely adds.

    params : of engines, by name. names : the engines to weigh.
    None (uniform) where no listener knows two songs.
    """
    cap = (rules or Rules()).max_per_artist
    judges = min(int((np.diff(tables.known.indptr) > 1).sum()), N_JUDGES)
    if not judges:
        return None
    trials = []
    for _ in range(min(-(-N_TRIALS // judges), MOST_SPLITS)):
        train, held_out = split(tables, fraction=HIDDEN, rng=rng)
        engines, _ = fit_engines(train, rng=rng, params=params, names=names)
        trials.append(Trial.of(engines, _sampled_rows(held_out, rng), cap))
    last = list(engines).index(FALLBACK) if FALLBACK in engines else None
    return dict(zip(engines, learn_blend(trials, rng, last).tolist(), strict=True))


def fit_engines(
    tables: Tables,
    *,
    rng: np.random.Generator,
    params: Mapping[str, Params] | None = None,
    names: Iterable[str] = ENGINES,
) -> tuple[dict[str, Engine], dict[str, str]]:
    """Each of these engines that has the tables it needs, fitted, by name; and the others with what they lack."""
    engines, left_out = {}, {}
    for name in names:
        try:
            engines[name] = ENGINES[name].fit(tables, (params or {}).get(name), rng=rng)
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


def _settled_leaning(m: int, leaning: Floats | None) -> Floats:
    if leaning is None:
        return np.zeros(m)
    assert leaning.shape == (m,), leaning.shape
    if not (np.abs(leaning) <= 1).all():
        raise ParameterOutOfRange("a listener leans from -1 (new artists) to 1 (familiar ones)")
    return leaning


def _moments(tables: Tables, listener_rows: Rows, song_rows: Rows, moments: NDArray[np.datetime64]) -> sparse.csr_array:
    """Moments in nanoseconds as CSR float64 (n_listeners, n_songs); an unknown one is `EVER`."""
    values = np.where(np.isnat(moments), EVER, moments.astype("datetime64[ns]").astype(np.int64))
    return sparse.csr_array((values, (listener_rows, song_rows)), shape=(tables.n_listeners, tables.n_songs))


def _sampled_rows(held_out: sparse.csr_array, rng: np.random.Generator) -> sparse.csr_array:
    """Only the held-out songs of `N_JUDGES` listeners at most."""
    listeners = np.flatnonzero(np.diff(held_out.indptr))
    judges = np.zeros(held_out.shape[0])
    judges[rng.permutation(listeners)[:N_JUDGES]] = 1.0
    sampled = sparse.csr_array(held_out * judges[:, None])
    sampled.eliminate_zeros()
    return sampled
