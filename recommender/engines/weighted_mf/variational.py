"""Bayesian matrix factorisation of ratings by variational inference: the third loss of the rating head.

A rating is normal around b + bu_i + bv_j + u_i . v_j with one precision (1 / variance) for all. A listener's unknowns
a_i = [u_i, bu_i] are normal around a mean with a full covariance, both learned from all listeners; likewise a song's
c_j = [v_j, bv_j]. What is believed of a row after its ratings is again a normal distribution, with a covariance of
its own, and each half-step finds it exactly while the other side's beliefs stand still. The priors and the precision
are then set to what explains these beliefs best, covariances included: from means alone they would shrink at every
iteration until nothing is left, since what is uncertain would count as known to be small.

All sums run over the extended vectors [u_i, bu_i, 1] and [v_j, 1, bv_j], whose product is the prediction less b: one
sparse product of the marks of the ratings with the partners' expected squares holds a row's normal equations and its
squared error at once. A half-step costs O(nnz K^2 + rows K^3) and holds (K + 2)(K + 3) / 2 numbers a row.

Sources: Lim, Teh, "Variational Bayesian approach to movie rating prediction" (2007), for the scheme; Bishop,
"Variational principal components" (1999), for learning the prior on the way; Salakhutdinov, Mnih, "Bayesian
probabilistic matrix factorization using Markov chain Monte Carlo" (2008), for priors with a full covariance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recommender.engines.tables import Floats
from recommender.engines.threads import mapped
from recommender.engines.weighted_mf.wals import Side

BLOCK_FLOATS = 1 << 21  # the largest stack of matrices solved at once: 16 MiB
SPREAD = 0.1  # of the factors at the start: enough to part them, too little to mislead
IMAGINED = 0.1  # variance of the imagined rows, one an unknown, that keep a prior proper where rows are few


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings less their mean b: CSR float64 (m, n), one entry a rating; a stored 0 is a rating of b."""

    values: sparse.csr_array

    @cached_property
    def marks(self) -> sparse.csr_array:
        """1 at every rating."""
        ones = np.ones(self.values.nnz)
        return sparse.csr_array((ones, self.values.indices, self.values.indptr), shape=self.values.shape)

    @cached_property
    def transposed(self) -> "Ratings":
        """The same with the sides exchanged."""
        return Ratings(self.values.T.tocsr())

    def rows(self, chosen: slice | np.ndarray[tuple[int], np.dtype[np.int64]]) -> "Ratings":
        """The same for some rows only."""
        return Ratings(self.values[chosen])


@dataclass(frozen=True, eq=False)
class Prior:
    """What is believed of any row before its ratings: mean float64 (d,), covariance float64 (d, d), d = K + 1."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, beliefs: "Beliefs") -> "Prior":
        """The prior under which these beliefs are likeliest, and as many imagined rows as a row has unknowns."""
        n, width = beliefs.means.shape
        mean = beliefs.means.mean(axis=0)
        apart = beliefs.means - mean
        within = unpacked(beliefs.covariances.sum(axis=0)[None])[0]
        return cls(mean, (width * IMAGINED * np.eye(width) + within + apart.T @ apart) / (width + n))


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is believed of each row of one side, a normal distribution over its K factors and its bias.

    means : float64 (n, d), d = K + 1, the bias last.
    covariances : float64 (n, d(d + 1)/2), the upper triangles row by row.
    """

    means: Floats
    covariances: Floats

    @classmethod
    def random(cls, n: int, n_factors: int, rng: np.random.Generator) -> "Beliefs":
        """Small random factors (a start at zero would never move), no biases, nothing uncertain."""
        width = n_factors + 1
        means = np.zeros((n, width))
        means[:, :n_factors] = rng.normal(0.0, SPREAD, (n, n_factors))
        return cls(means, np.zeros((n, width * (width + 1) // 2)))

    @cached_property
    def side(self) -> Side:
        """The means, as the other losses give them."""
        return Side(self.means[:, :-1], self.means[:, -1])

    @cached_property
    def partner_means(self) -> Floats:
        """[v, 1, bv] as the other side meets it, float64 (n, d + 1)."""
        return np.column_stack([self.means[:, :-1], np.ones(len(self.means)), self.means[:, -1]])

    @cached_property
    def partner_squares(self) -> Floats:
        """The expected outer square of [v, 1, bv], float64 (n, (d + 1)(d + 2)/2), upper triangles."""
        width = self.means.shape[1]
        first, second = np.triu_indices(width + 1)
        squares = self.partner_means[:, first] * self.partner_means[:, second]
        squares[:, (first != width - 1) & (second != width - 1)] += self.covariances
        return squares


@dataclass(frozen=True, eq=False)
class Model:
    """All that is believed: of listeners and songs, of what they are like at large, and how exact ratings are."""

    listeners: Beliefs
    songs: Beliefs
    listener_prior: Prior
    song_prior: Prior
    precision: float


def iterate(ratings: Ratings, n_factors: int, rng: np.random.Generator) -> Iterator[Model]:
    """The model after each full iteration (both sides, both priors and the precision), for ever.

    Every row and every column has a rating.
    """
    songs = Beliefs.random(ratings.values.shape[1], n_factors, rng)
    broad = Prior(np.zeros(n_factors + 1), np.eye(n_factors + 1))
    listener_prior = song_prior = broad
    precision = 1.0
    while True:
        listeners, _ = believe(ratings, songs, listener_prior, precision)
        listener_prior = Prior.of(listeners)
        songs, errors = believe(ratings.transposed, listeners, song_prior, precision)
        song_prior = Prior.of(songs)
        # One imagined rating, a star off, keeps it finite where all ratings are foretold.
        precision = (1 + ratings.values.nnz) / (1.0 + float(errors.sum()))
        yield Model(listeners, songs, listener_prior, song_prior, precision)


def believe(ratings: Ratings, partners: Beliefs, prior: Prior, precision: float) -> tuple[Beliefs, Floats]:
    """What to believe of the rows of `ratings` while their partners' beliefs stand still.

    Returns it with each row's expected squared error float64 (m,), summed over its ratings. A row without ratings is
    believed to be what the prior says.
    """
    m, width = ratings.values.shape[0], len(prior.mean)
    assert partners.means.shape == (ratings.values.shape[1], width), partners.means.shape
    size = max(1, BLOCK_FLOATS // (width + 1) ** 2)
    blocks = [ratings.rows(slice(start, start + size)) for start in range(0, max(m, 1), size)]
    parts = mapped(lambda block: _believe_block(block, partners, prior, precision), blocks)
    means, covariances, errors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Beliefs(means, covariances), errors


def _believe_block(
    ratings: Ratings, partners: Beliefs, prior: Prior, precision: float
) -> tuple[Floats, Floats, Floats]:
    width = len(prior.mean)
    squares = unpacked(ratings.marks @ partners.partner_squares)
    pulls = ratings.values @ partners.partner_means
    certainty = np.linalg.inv(prior.covariance)
    covariances = np.asarray(np.linalg.inv(certainty + precision * squares[:, :width, :width]), dtype=np.float64)
    right = certainty @ prior.mean + precision * (pulls[:, :width] - squares[:, :width, width])
    means = np.einsum("mij,mj->mi", covariances, right)
    own = np.column_stack([means, np.ones(len(means))])  # [u, bu, 1]
    own_squares = own[:, :, None] * own[:, None, :]
    own_squares[:, :width, :width] += covariances
    totals = np.asarray((ratings.values**2).sum(axis=1))
    errors = totals - 2.0 * np.einsum("mi,mi->m", own, pulls) + np.einsum("mij,mij->m", own_squares, squares)
    return means, packed(covariances), errors


def packed(matrices: Floats) -> Floats:
    """The upper triangles of symmetric matrices (n, d, d), row by row: (n, d(d + 1)/2)."""
    first, second = np.triu_indices(matrices.shape[1])
    triangles: Floats = matrices[:, first, second]
    return triangles


def unpacked(triangles: Floats) -> Floats:
    """Symmetric matrices (n, d, d) from their upper triangles (n, d(d + 1)/2)."""
    width = int(np.sqrt(2 * triangles.shape[1]))
    first, second = np.triu_indices(width)
    matrices = np.empty((len(triangles), width, width))
    matrices[:, first, second] = triangles
    matrices[:, second, first] = triangles
    return matrices
