"""Learning what each engine should weigh: a blend with non-negative weights, stacked on songs hidden from the engines.

Source of the idea: Wolpert, "Stacked generalization" (1992); Breiman, "Stacked regressions" (1996), for weights that
are not negative; the rule of one standard error is of Breiman, Friedman, Olshen and Stone, "Classification and
regression trees" (1984).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.base import Engine
from recommender.engines.metrics import Marks
from recommender.engines.opinions import scale
from recommender.engines.ranking import PLACES, top_n
from recommender.engines.tables import Floats, Rows
from recommender.engines.threads import mapped

DEPTH = 60  # of each engine's list: what no engine ranks so high reaches no list of ten
BATCH = 64  # listeners whose scores by all engines stand in memory at once
STEPS = (0.2, 0.05)  # by which a weight is moved, first boldly
MOST_SWEEPS = 10
FOLDS = 4
DISCOUNTS = 1.0 / np.log2(np.arange(PLACES) + 2.0)


@dataclass(frozen=True, eq=False)
class Trial:
    """What fitted engines think of the songs that could reach a list of ten, and which of these were held out.

    listeners : int64 (m,), the rows of those judged. starts : int64 (m + 1,), where each one's candidates begin.
    z : float64 (p, e), each engine's standardised opinion of each candidate, NaN = none.
    held : bool (p,). artists : int64 (p,), -1 = unknown. ideal : float64 (m,), the best DCG there is, > 0.
    max_per_artist : as of the lists the blend is for, 0 = no cap.
    """

    listeners: Rows
    starts: Rows
    z: Floats
    held: Marks
    artists: Rows
    ideal: Floats
    max_per_artist: int

    @classmethod
    def of(cls, engines: Mapping[str, Engine], held_out: sparse.csr_array, max_per_artist: int | None = None) -> Self:
        """Of engines fitted on tables without the held-out pairs, CSR (n_listeners, n_songs)."""
        tables = next(iter(engines.values())).tables
        n_held = np.diff(held_out.indptr)
        listeners = np.flatnonzero(n_held)
        blocks = [listeners[start : start + BATCH] for start in range(0, len(listeners), BATCH)]
        parts = mapped(lambda rows: _candidates(list(engines.values()), rows), blocks)
        rows, songs, z = (np.concatenate(each) for each in zip(*parts, strict=True))
        pairs = sparse.coo_array(held_out)
        held = np.isin(rows * tables.n_songs + songs, pairs.row.astype(np.int64) * tables.n_songs + pairs.col)
        best = np.cumsum(DISCOUNTS)[np.minimum(n_held[listeners], PLACES) - 1]
        starts = np.append(np.searchsorted(rows, listeners), len(rows))
        return cls(listeners, starts, z, held, tables.songs.artists[songs], best, max_per_artist or 0)

    def ndcg(self, weights: Floats) -> Floats:
        """ndcg@10 of the blend with these weights (e,) for each of the listeners, float64 (m,)."""
        found = np.empty(len(self.listeners))
        _gains(self.z, weights, self.starts, self.held, self.artists, self.max_per_artist, DISCOUNTS, found)
        return found / self.ideal

    def among(self, kept: Marks) -> "Trial":
        """Of the listeners marked, bool (m,), alone."""
        sizes = np.diff(self.starts)
        entries = np.repeat(kept, sizes)
        return Trial(
            self.listeners[kept],
            np.append(0, np.cumsum(sizes[kept])),
            self.z[entries],
            self.held[entries],
            self.artists[entries],
            self.ideal[kept],
            self.max_per_artist,
        )


def learn_blend(trials: Sequence[Trial], rng: np.random.Generator, last: int | None = None) -> Floats:
    """Weights of the engines, float64 (e,) >= 0, summing to 1, by which the blend finds most of what was held out.

    trials : of the same engines on one split each. Several make up for few listeners.
    last : the place of the engine that is heard only where it surely adds to what the others say.

    Begun with the best single engine. First all but the last, then all of them are tried together; what is found is
    taken where its gain over what was had before exceeds one standard error. That gain is taken listener by listener
    under weights learned from the others (`FOLDS`), so that with few listeners, who can be told anything, the best
    single engine stays.
    """
    n_engines = trials[0].z.shape[1]
    blend = max(np.eye(n_engines), key=lambda alone: _value(trials, alone))
    everybody = np.unique(np.concatenate([trial.listeners for trial in trials]))
    fold = rng.permutation(len(everybody)) % FOLDS
    folds = [np.isin(np.arange(len(everybody)), np.flatnonzero(fold == number)) for number in range(FOLDS)]
    everyone = list(range(n_engines))
    for heard in ([place for place in everyone if place != last], everyone):
        if len(heard) > 1 and _surely_better(trials, blend, heard, [everybody[marks] for marks in folds]):
            blend = _climbed(trials, blend, heard)
    return blend


def _candidates(engines: Sequence[Engine], listener_rows: Rows) -> tuple[Rows, Rows, Floats]:
    """Listener and song rows of these listeners' candidates, int64 (p,), in order, and their opinions (p, e)."""
    tables = engines[0].tables
    familiar, known = tables.familiar[listener_rows].tocoo(), tables.known[listener_rows]
    scores, moments, listed = [], [], []
    for engine in engines:
        said = engine.score_rows(listener_rows).copy()  # the engine may keep what it answers with
        moments.append(scale(said, known)[:2])
        said[familiar.coords] = np.nan
        scores.append(said)
        listed.append(top_n(said, DEPTH)[0])
    columns = np.hstack(listed)
    places = np.repeat(np.arange(len(listener_rows)), columns.shape[1])[columns.ravel() >= 0]
    pairs = np.unique(places * tables.n_songs + columns.ravel()[columns.ravel() >= 0])
    places, songs = np.divmod(pairs, tables.n_songs)
    z = [
        (said[places, songs] - means[places]) * factors[places]
        for said, (means, factors) in zip(scores, moments, strict=True)
    ]
    return listener_rows[places], songs, np.stack(z, axis=1)


def _value(trials: Sequence[Trial], weights: Floats) -> float:
    return float(np.mean([trial.ndcg(weights).mean() for trial in trials]))


def _surely_better(trials: Sequence[Trial], blend: Floats, heard: Sequence[int], folds: Sequence[Rows]) -> bool:
    """Whether weights of those heard, learned from other listeners, gain more than one standard error on `blend`."""
    gains: dict[int, list[float]] = {}
    for listeners in folds:
        judging = [np.isin(trial.listeners, listeners) for trial in trials]
        if not any(marks.any() for marks in judging) or all(marks.all() for marks in judging):
            continue
        others = [trial.among(~marks) for trial, marks in zip(trials, judging, strict=True) if not marks.all()]
        learned = _climbed(others, blend, heard)
        for trial, marks in zip(trials, judging, strict=True):
            judges = trial.among(marks)
            for listener, gain in zip(judges.listeners, judges.ndcg(learned) - judges.ndcg(blend), strict=True):
                gains.setdefault(int(listener), []).append(float(gain))
    means = np.array([np.mean(each) for each in gains.values()])
    return len(means) > 1 and bool(means.mean() > means.std(ddof=1) / np.sqrt(len(means)))


def _climbed(trials: Sequence[Trial], blend: Floats, heard: Sequence[int]) -> Floats:
    """The better of where two climbs end: from this blend, and from those heard all alike."""
    alike = np.zeros(len(blend))
    alike[list(heard)] = 1.0 / len(heard)
    ends = [_climb(trials, start, heard) for start in (blend, alike)]
    return max(ends, key=lambda weights: _value(trials, weights))


def _climb(trials: Sequence[Trial], start: Floats, heard: Sequence[int]) -> Floats:
    """Weights moved one after the other, by smaller and smaller steps, for as long as that finds more."""
    weights, value = start, _value(trials, start)
    for step in STEPS:
        for _ in range(MOST_SWEEPS):
            before = value
            for place in heard:
                for move in (step, -step):
                    tried = weights.copy()
                    tried[place] = max(tried[place] + move, 0.0)
                    if not tried.any() or np.array_equal(tried, weights):
                        continue
                    tried /= tried.sum()
                    found = _value(trials, tried)
                    if found > value:
                        weights, value = tried, found
            if value == before:
                break
    return weights


@njit(nogil=True, cache=True)
def _gains(
    z: Floats,
    weights: Floats,
    starts: Rows,
    held: Marks,
    artists: Rows,
    max_per_artist: int,
    discounts: Floats,
    found: NDArray[np.float64],
) -> None:
    """DCG of each listener's list, as long as the discounts are, of the songs on which an engine with a weight has an
    opinion."""
    listed = np.empty(len(discounts), dtype=np.int64)
    for row in range(len(starts) - 1):
        first, end = starts[row], starts[row + 1]
        scores = np.full(end - first, -np.inf)
        for song in range(first, end):
            for engine in range(len(weights)):
                said = z[song, engine]
                if weights[engine] > 0 and said == said:
                    before = scores[song - first]
                    scores[song - first] = weights[engine] * said + (0.0 if before == -np.inf else before)
        n_listed, gain = 0, 0.0
        while n_listed < len(discounts) and len(scores):
            best = np.argmax(scores)
            if scores[best] == -np.inf:
                break
            scores[best] = -np.inf
            song = first + best
            alike = 0
            for earlier in listed[:n_listed]:
                alike += artists[earlier] == artists[song]
            if max_per_artist > 0 and artists[song] >= 0 and alike >= max_per_artist:
                continue
            listed[n_listed] = song
            if held[song]:
                gain += discounts[n_listed]
            n_listed += 1
        found[row] = gain
