"""Bayesian ratings against a slow, obvious twin; the bound that may never fall; priors that do not collapse."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.engines.threads import bounded
from recommender.engines.weighted_mf import variational
from recommender.engines.weighted_mf.variational import IMAGINED, Beliefs, Prior, Ratings, packed, unpacked


def make_ratings(seed, m=7, n=9, density=0.5):
    """Random ratings less a mean, in which row 0 is empty and some are exactly 0."""
    rng = np.random.default_rng(seed)
    seen = rng.random((m, n)) < density
    seen[0] = False
    rows, columns = np.nonzero(seen)
    return Ratings(sparse.csr_array((rng.choice([-2.0, -1.0, 0.0, 1.5], len(rows)), (rows, columns)), shape=(m, n)))


def full_ratings(seed, m=7, n=9):
    """As above, but every row and every column has a rating."""
    rng = np.random.default_rng(seed)
    seen = (rng.random((m, n)) < 0.4) | (np.arange(m)[:, None] % n == np.arange(n) % m)
    seen[:, 0] = seen[0] = True
    rows, columns = np.nonzero(seen)
    return Ratings(sparse.csr_array((rng.normal(0, 1.0, len(rows)), (rows, columns)), shape=(m, n)))


def make_covariances(rng, n, width):
    half = rng.normal(0, 0.4, (n, width, width))
    return half @ half.transpose(0, 2, 1) + 0.05 * np.eye(width)


def make_beliefs(seed, n, n_factors):
    rng = np.random.default_rng(seed)
    width = n_factors + 1
    return Beliefs(rng.normal(0, 0.7, (n, width)), packed(make_covariances(rng, n, width)))


def make_prior(seed, n_factors):
    rng = np.random.default_rng(seed)
    return Prior(rng.normal(0, 0.3, n_factors + 1), make_covariances(rng, 1, n_factors + 1)[0])


def twin_believe(ratings, partners, prior, precision):
    """Row by row and rating by rating, every expectation written out."""
    K = len(prior.mean) - 1
    X = ratings.values.toarray()
    marks = ratings.marks.toarray() > 0
    covariances_of = unpacked(partners.covariances)
    means, covariances, errors = [], [], []
    for i in range(len(X)):
        P, right = np.linalg.inv(prior.covariance), np.linalg.inv(prior.covariance) @ prior.mean
        for j in np.flatnonzero(marks[i]):
            mean, cov = partners.means[j], covariances_of[j]
            design = np.append(mean[:K], 1.0)
            spread = np.zeros((K + 1, K + 1))
            spread[:K, :K] = cov[:K, :K]
            P = P + precision * (np.outer(design, design) + spread)
            right = right + precision * (design * (X[i, j] - mean[K]) - np.append(cov[:K, K], 0.0))
        covariance = np.linalg.inv(P)
        own = covariance @ right
        error = 0.0
        for j in np.flatnonzero(marks[i]):
            mean, cov = partners.means[j], covariances_of[j]
            u, v, S = own[:K], mean[:K], covariance[:K, :K]
            predicted = u @ v + own[K] + mean[K]
            varied = u @ cov[:K, :K] @ u + v @ S @ v + np.trace(S @ cov[:K, :K])
            varied += covariance[K, K] + cov[K, K] + 2 * v @ covariance[:K, K] + 2 * u @ cov[:K, K]
            error += (X[i, j] - predicted) ** 2 + varied
        means.append(own)
        covariances.append(covariance)
        errors.append(error)
    return np.array(means), np.array(covariances), np.array(errors)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.1, 5.0))
def test_beliefs_are_those_of_the_twin(seed, n_factors, precision):
    ratings, partners, prior = make_ratings(seed), make_beliefs(seed, 9, n_factors), make_prior(seed, n_factors)
    beliefs, errors = variational.believe(ratings, partners, prior, precision)
    means, covariances, twin_errors = twin_believe(ratings, partners, prior, precision)
    np.testing.assert_allclose(beliefs.means, means, atol=1e-9)
    np.testing.assert_allclose(unpacked(beliefs.covariances), covariances, atol=1e-9)
    np.testing.assert_allclose(errors, twin_errors, atol=1e-8)


def test_a_row_without_ratings_is_believed_to_be_what_the_prior_says():
    prior = make_prior(0, 3)
    beliefs, errors = variational.believe(make_ratings(0), make_beliefs(0, 9, 3), prior, 1.0)
    np.testing.assert_allclose(beliefs.means[0], prior.mean)
    np.testing.assert_allclose(unpacked(beliefs.covariances)[0], prior.covariance)
    assert errors[0] == 0.0


def test_neither_blocks_nor_threads_change_anything(monkeypatch):
    arguments = make_ratings(1, m=40), make_beliefs(1, 9, 3), make_prior(1, 3), 1.3
    whole, errors = variational.believe(*arguments)
    monkeypatch.setattr(variational, "BLOCK_FLOATS", 200)
    with bounded(3):
        cut, cut_errors = variational.believe(*arguments)
    np.testing.assert_allclose(cut.means, whole.means, atol=1e-12)
    np.testing.assert_allclose(cut_errors, errors, atol=1e-12)


def divergence(beliefs, prior):
    """Kullback-Leibler divergence of the beliefs from the prior, summed over rows."""
    certainty = np.linalg.inv(prior.covariance)
    apart = beliefs.means - prior.mean
    covariances = unpacked(beliefs.covariances)
    traces = np.einsum("ij,nji->n", certainty, covariances)
    squares = np.einsum("ni,ij,nj->n", apart, certainty, apart)
    logs = np.linalg.slogdet(prior.covariance)[1] - np.linalg.slogdet(covariances)[1]
    return 0.5 * float(np.sum(traces + squares + logs - len(prior.mean)))


def bound(ratings, model):
    """What each iteration raises: the evidence's lower bound with its imagined rows and rating, up to a constant."""
    expected = expected_error(ratings, model)
    total = 0.5 * (1 + ratings.values.nnz) * np.log(model.precision) - 0.5 * model.precision * (1 + expected)
    for beliefs, prior in ((model.listeners, model.listener_prior), (model.songs, model.song_prior)):
        imagined = IMAGINED * np.trace(np.linalg.inv(prior.covariance)) + np.linalg.slogdet(prior.covariance)[1]
        total -= divergence(beliefs, prior) + 0.5 * len(prior.mean) * imagined
    return total


def expected_error(ratings, model):
    """E (x - [u, bu, 1] . [v, 1, bv])^2 over all ratings, from both sides' expected squares."""
    K = model.songs.means.shape[1] - 1
    rows, columns = ratings.values.tocoo().coords
    songs, listeners = unpacked(model.songs.partner_squares), unpacked(model.listeners.partner_squares)
    order = [*range(K), K + 1, K]  # from [u, 1, bu] to [u, bu, 1]
    listeners = listeners[:, order][:, :, order]
    left, right = model.listeners.partner_means[:, order], model.songs.partner_means
    predicted = np.einsum("pk,pk->p", left[rows], right[columns])
    squares = np.einsum("pij,pij->p", listeners[rows], songs[columns])
    return float(np.sum(ratings.values.data**2 - 2 * ratings.values.data * predicted + squares))


@pytest.mark.parametrize("seed", range(5))
def test_no_iteration_lowers_the_bound(seed):
    ratings = full_ratings(seed)
    models = islice(variational.iterate(ratings, 3, np.random.default_rng(seed)), 30)
    bounds = np.array([bound(ratings, model) for model in models])
    assert (np.diff(bounds) > -1e-8 * np.abs(bounds[1:])).all()


def planted(seed, m=120, n=90, noise=0.3):
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, (m, 2)) @ rng.normal(0, 1, (2, n)) + rng.normal(0, 0.5, m)[:, None]
    seen = rng.random((m, n)) < 0.3
    seen[0] = seen[:, 0] = True
    rows, columns = np.nonzero(seen)
    values = truth[rows, columns] + rng.normal(0, noise, len(rows))
    return Ratings(sparse.csr_array((values, (rows, columns)), shape=(m, n))), truth, seen


def test_the_truth_and_the_noise_are_found():
    ratings, truth, seen = planted(0)
    model = list(islice(variational.iterate(ratings, 6, np.random.default_rng(0)), 60))[-1]
    left, right = model.listeners.side, model.songs.side
    predicted = left.factors @ right.factors.T + left.biases[:, None] + right.biases
    assert np.sqrt(np.mean((predicted - truth)[~seen] ** 2)) < 0.25
    assert model.precision**-0.5 == pytest.approx(0.3, rel=0.15)


def test_priors_keep_what_there_is_and_let_go_of_what_there_is_not():
    """Two directions of taste of six asked for: long after the start two are there still, the others are gone."""
    ratings, _, _ = planted(1)
    model = list(islice(variational.iterate(ratings, 6, np.random.default_rng(0)), 150))[-1]
    shown = model.listeners.side.factors @ model.songs.side.factors.T
    strengths = np.linalg.svd(shown, compute_uv=False)
    assert strengths[1] > 0.5 * strengths[0]
    assert strengths[2] < 0.1 * strengths[1]


@pytest.mark.parametrize("seed", range(3))
def test_packing_is_undone(seed):
    matrices = make_covariances(np.random.default_rng(seed), 4, 3 + seed)
    np.testing.assert_array_equal(unpacked(packed(matrices)), (matrices + matrices.transpose(0, 2, 1)) / 2)


@pytest.mark.parametrize(
    "values",
    [np.array([[0.0]]), np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([[1.0], [-1.0]]), np.array([[1.0, -1.0]])],
)
def test_poor_ratings_stay_finite(values):
    """One rating, ratings all alike, one song, one listener."""
    rows, columns = np.indices(values.shape).reshape(2, -1)
    ratings = Ratings(sparse.csr_array((values.ravel(), (rows, columns)), shape=values.shape))
    model = list(islice(variational.iterate(ratings, 3, np.random.default_rng(0)), 500))[-1]
    assert np.isfinite(model.precision)
    for array in (model.songs.means, model.songs.covariances, model.listeners.means, model.song_prior.covariance):
        assert np.isfinite(array).all()
