import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from bench.evaluation.samplers import Prior, fit_sampler
from bench.experiments.spec import FITTED
from tests.support.clusters import clusters


@pytest.mark.parametrize("name", FITTED)
def test_samples_have_the_moments_of_rank_deficient_codes(name: str) -> None:
    codes = clusters(1)
    samples = fit_sampler(name, codes, seed=0).sample(40_000, seed=1)
    assert samples.shape == (40_000, 12)
    scale = codes.std()
    np.testing.assert_allclose(samples.mean(0), codes.mean(0), atol=0.05 * scale)
    np.testing.assert_allclose(
        np.cov(samples.T), np.cov(codes.T), atol=0.05 * np.abs(np.cov(codes.T)).max()
    )
    # Nothing leaves the subspace that the codes span.
    outside = np.linalg.svd(np.cov(samples.T))[1][3:]
    assert outside.max() < 1e-6 * np.cov(codes.T).max()


def test_a_sampler_keeps_the_directions_above_a_millionth_of_the_largest_variance() -> None:
    codes = np.random.default_rng(0).normal(size=(4000, 3)) * np.sqrt([1.0, 1e-5, 1e-7])
    variances = PCA().fit(codes).explained_variance_
    assert (variances > 1e-6 * variances[0]).tolist() == [True, True, False]
    assert fit_sampler("mvg", codes, 0).basis.shape == (2, 3)


def test_samplers_have_the_components_that_they_are_named_after() -> None:
    fitted = [fit_sampler(name, clusters(0), 0).mixture for name in FITTED]
    assert [mixture.n_components for mixture in fitted if mixture] == [10, 4, 1]
    names = ("covariance_type", "reg_covar", "tol", "max_iter", "n_init")
    protocol = {tuple(getattr(mixture, name) for name in names) for mixture in fitted if mixture}
    assert protocol == {("full", 1e-6, 1e-3, 100, 1)}


def test_mixture_has_scikit_learns_likelihood() -> None:
    """In a basis of full rank the subspace changes nothing but the coordinates."""
    codes = clusters(2, used=5, d=5).astype(np.float64)
    ours = fit_sampler("gmm10", codes, seed=3)
    assert ours.mixture is not None
    coordinates = (codes - ours.mean) @ np.linalg.inv(ours.basis)
    theirs = GaussianMixture(10, random_state=3, max_iter=200).fit(coordinates)
    volume = np.linalg.slogdet(ours.basis)[1]
    plain = GaussianMixture(10, random_state=3, max_iter=200).fit(codes)
    assert ours.mixture.score(coordinates) == pytest.approx(theirs.score(coordinates), abs=0.02)
    assert ours.mixture.score(coordinates) - volume == pytest.approx(plain.score(codes), abs=0.02)


def test_mixture_sees_clusters_that_one_gaussian_does_not() -> None:
    rng = np.random.default_rng(4)
    codes = np.concatenate([rng.normal(-5, 0.1, (500, 2)), rng.normal(5, 0.1, (500, 2))])
    inside = {
        name: np.mean(np.abs(fit_sampler(name, codes, 0).sample(2000, 0)[:, 0]) < 4)
        for name in FITTED
    }
    assert inside["gmm10"] == inside["gmm4"] == 0
    assert inside["mvg"] > 0.3


def test_samplers_do_not_depend_on_the_scale_of_codes() -> None:
    """What is fitted, that is: where a direction turns round, the same draws are other codes."""
    codes = clusters(5)
    for name in FITTED:
        fitted = []
        for scale in (1e-3, 1e3):
            sampler = fit_sampler(name, codes * scale, 0)
            assert sampler.mixture is not None
            means = sampler.mean + sampler.mixture.means_ @ sampler.basis
            covariances = sampler.basis.T @ sampler.mixture.covariances_ @ sampler.basis
            fitted.append((sampler.mixture.weights_, means / scale, covariances / scale**2))
        for small, large in zip(*fitted, strict=True):
            np.testing.assert_allclose(small, large, rtol=1e-6, atol=1e-6 * np.abs(large).max())


def test_samples_come_in_random_order_from_their_seed() -> None:
    codes = np.concatenate([np.full((50, 1), -5.0), np.full((50, 1), 5.0)])
    codes += np.random.default_rng(0).normal(size=codes.shape)
    sampler = fit_sampler("gmm4", codes, 0)
    samples = sampler.sample(400, 1)
    assert np.array_equal(samples, sampler.sample(400, 1))
    assert not np.array_equal(samples, sampler.sample(400, 2))
    assert 60 < (samples[:200] > 0).sum() < 140


def test_constant_codes_are_sampled_as_they_are() -> None:
    samples = fit_sampler("gmm10", np.full((30, 4), 2.5), 0).sample(7, 0)
    assert np.array_equal(samples, np.full((7, 4), 2.5))


def test_the_prior_is_standard_normal() -> None:
    prior = Prior(6)
    codes = prior.sample(20_000, 1)
    assert np.array_equal(codes, prior.sample(20_000, 1))
    np.testing.assert_allclose(np.cov(codes.T), np.eye(6), atol=0.05)
    expected = stats.multivariate_normal(np.zeros(6)).logpdf(codes).mean()
    assert prior.score(codes) == pytest.approx(expected, rel=1e-6)


def test_likelihoods_are_of_held_out_codes_and_fall_where_a_mixture_overfits() -> None:
    rng = np.random.default_rng(0)
    train, held_out = rng.normal(size=(2, 400, 12)) @ rng.normal(size=(12, 12))
    fitted = {name: fit_sampler(name, train, 0) for name in ("gmm10", "mvg")}
    gaps = {name: s.score(train) - s.score(held_out) for name, s in fitted.items()}
    assert gaps["gmm10"] > 3 * abs(gaps["mvg"])
    # One Gaussian, against SciPy, in the coordinates that it is fitted in.
    sampler = fitted["mvg"]
    scale = np.square(sampler.basis).sum(axis=1)
    coordinates = (held_out - sampler.mean) @ sampler.basis.T / scale
    mixture = sampler.mixture
    assert mixture is not None
    expected = stats.multivariate_normal(mixture.means_[0], mixture.covariances_[0])
    assert sampler.score(held_out) == pytest.approx(expected.logpdf(coordinates).mean(), rel=1e-6)


def test_a_mixture_has_at_least_two_codes_for_each_component() -> None:
    for count, expected in ((9, 4), (19, 9), (21, 10)):
        mixture = fit_sampler("gmm10", clusters(0)[:count], 0).mixture
        assert mixture is not None
        assert mixture.n_components == expected
