from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from bench.data.images import LoadedData, Split
from bench.evaluation.decoded import as_bytes, pictures, principal_walks
from bench.evaluation.evaluate import evaluate
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import Gaussian, fit, frechet_distance
from bench.evaluation.mixture import fit_on_device
from bench.evaluation.samplers import Prior, fit_sampler
from bench.evaluation.spectrum import rank, spectrum
from bench.experiments.spec import FITTED
from bench.models.networks import build
from bench.models.precision import arithmetic
from bench.training.trainee import initial_model
from tests.support.measuring import measured
from tests.support.tiny import PARAMETERS, TINY, TINY_MEASUREMENT

CPU = torch.device("cpu")


def _gaussian(rng: np.random.Generator, samples: int, dimensions: int) -> Gaussian:
    mixing = rng.normal(size=(dimensions, dimensions))
    rows = rng.normal(size=(samples, dimensions)) @ mixing + rng.normal(size=dimensions)
    return fit([torch.from_numpy(rows)])


def _numpy(gaussian: Gaussian) -> tuple[np.ndarray, np.ndarray]:
    return gaussian.mean.numpy(), gaussian.covariance.numpy()


@pytest.mark.parametrize(
    ("samples", "dimensions"), [(500, 8), (2000, 64), (40, 64), (64, 64), (100, 256), (600, 256)]
)
def test_frechet_distance_is_pytorch_fids(samples: int, dimensions: int) -> None:
    rng = np.random.default_rng(samples)
    a, b = _gaussian(rng, samples, dimensions), _gaussian(rng, samples, dimensions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = calculate_frechet_distance(*_numpy(a), *_numpy(b))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_frechet_distance_of_commuting_gaussians_in_closed_form(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(d, d)))
    s, t = rng.uniform(0, 3, d), rng.uniform(0, 3, d)
    a, b = (
        Gaussian(*map(torch.from_numpy, (rng.normal(size=d), basis @ np.diag(r**2) @ basis.T)))
        for r in (s, t)
    )
    expected = ((a.mean - b.mean) ** 2).sum().item() + ((s - t) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_frechet_distance_of_equal_and_constant_gaussians() -> None:
    rng = np.random.default_rng(0)
    deficient = _gaussian(rng, 10, 50)
    assert frechet_distance(deficient, deficient) == pytest.approx(0, abs=1e-9)
    constant = Gaussian(deficient.mean + 2, torch.zeros(50, 50, dtype=torch.float64))
    expected = 4 * 50 + deficient.covariance.trace().item()
    assert frechet_distance(deficient, constant) == pytest.approx(expected)


def test_what_lapacks_fastest_drivers_give_up_on_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(2, 20, 60)))
    expected = frechet_distance(*(fit([each]) for each in rows))

    def gives_up(matrix: torch.Tensor) -> None:
        raise RuntimeError("failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", gives_up)
    monkeypatch.setattr(torch.linalg, "svdvals", gives_up)
    found = frechet_distance(*(fit([each]) for each in rows))
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(1, 7), min_size=2, max_size=6), st.integers(0, 1000))
def test_streamed_statistics_are_numpys(sizes: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(1e4, 1, size=(sum(sizes), 3)).astype(np.float32)
    mean, covariance = _numpy(fit(torch.from_numpy(rows).split(sizes)))
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(exact, rowvar=False), atol=1e-9)


def test_statistics_need_two_rows() -> None:
    with pytest.raises(ValueError, match="not 1"):
        fit([torch.zeros(1, 3)])
    with pytest.raises(ValueError, match="not 0"):
        fit([])


@pytest.mark.parametrize("true_rank", [1, 4, 7, 20])
def test_rank_of_codes_with_a_known_answer(true_rank: int) -> None:
    rng = np.random.default_rng(true_rank)
    mixing, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    codes = rng.normal(size=(3000, true_rank)) @ mixing[:true_rank]
    noisy = codes + 1e-4 * rng.normal(size=(3000, 20))
    values = spectrum(noisy)
    assert rank(values) == true_rank
    assert rank(values, 1e-12) == 20
    np.testing.assert_allclose(values, np.linalg.svd(np.cov(noisy.T))[1], rtol=1e-6)


def test_rank_of_codes_that_tell_nothing_or_repeat() -> None:
    assert rank(spectrum(np.full((10, 5), 3.0))) == 0
    column = np.random.default_rng(0).normal(size=(50, 1))
    assert rank(spectrum(np.repeat(column, 6, axis=1))) == 1
    assert rank(spectrum(column)) == 1


def test_rank_thresholds_are_relative() -> None:
    values = np.array([2.0, 2.1e-3, 1.9e-3, 0.0])
    assert (rank(values), rank(values, 1e-4), rank(1e6 * values)) == (2, 3, 2)


def _codes(rng: np.random.Generator, n: int = 4000, used: int = 3, d: int = 12) -> np.ndarray:
    """Two clusters in a subspace of ``used`` of ``d`` dimensions, away from the origin."""
    centres = rng.normal(size=(2, used)) * 4
    points = centres[rng.integers(0, 2, n)] + rng.normal(size=(n, used))
    return (points @ rng.normal(size=(used, d)) + 5).astype(np.float32)


@pytest.mark.parametrize("name", FITTED)
def test_samples_have_the_moments_of_rank_deficient_codes(name: str) -> None:
    codes = _codes(np.random.default_rng(1))
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


def test_mixture_has_scikit_learns_likelihood() -> None:
    """In a basis of full rank the subspace changes nothing but the coordinates."""
    codes = _codes(np.random.default_rng(2), used=5, d=5).astype(np.float64)
    ours = fit_sampler("gmm10", codes, seed=3)
    assert ours.mixture is not None
    coordinates = (codes - ours.mean) @ np.linalg.inv(ours.basis)
    theirs = GaussianMixture(10, random_state=3, max_iter=200).fit(coordinates)
    volume = np.linalg.slogdet(ours.basis)[1]
    plain = GaussianMixture(10, random_state=3, max_iter=200).fit(codes)
    assert ours.mixture.score(coordinates) == pytest.approx(theirs.score(coordinates), abs=0.02)
    assert ours.mixture.score(coordinates) - volume == pytest.approx(plain.score(codes), abs=0.02)


def _fitted(points: np.ndarray, device: torch.device) -> tuple[GaussianMixture, GaussianMixture]:
    ours, theirs = (GaussianMixture(10, reg_covar=1e-6, random_state=7) for _ in range(2))
    return fit_on_device(ours, points, device), theirs.fit(points)


@pytest.mark.parametrize("used", [2, 5, 12])
def test_mixture_on_a_device_takes_scikit_learns_steps(used: int) -> None:
    """Of rank-deficient points too, whose covariances are singular but for what is added."""
    points = _codes(np.random.default_rng(used), used=used).astype(np.float64)
    points /= points.std()
    ours, theirs = _fitted(points, torch.device("cpu"))
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    assert ours.score(points) == pytest.approx(theirs.score(points), abs=1e-3)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-6)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6)


@pytest.mark.gpu
def test_mixture_on_a_gpu_has_scikit_learns_likelihood() -> None:
    points = _codes(np.random.default_rng(0), n=20_000, used=40, d=128).astype(np.float64)
    points /= points.std()
    ours, theirs = _fitted(points, torch.device("cuda"))
    assert ours.score(points) == pytest.approx(theirs.score(points), abs=1e-3)


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
    codes = _codes(np.random.default_rng(5))
    for name in FITTED:
        small, large = (fit_sampler(name, codes * s, 0).sample(100, 0) for s in (1e-3, 1e3))
        np.testing.assert_allclose(small * 1e6, large, rtol=1e-2, atol=10)


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


def _identity_extractor() -> Extractor:
    def pixels(images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, ::8, ::8].flatten(1)

    return Extractor("classifier", 16, "0" * 64, pixels, CPU, 13)


def test_evaluation_against_plain_numpy(tmp_path: Path, sample: LoadedData) -> None:
    model = build("mnist", latent_dim=8, depth=2, seed=1)
    data = LoadedData(sample.train.spread(64), sample.test.spread(32), "")
    extractor = _identity_extractor()
    result = measured(model, TINY, TINY_MEASUREMENT, data, extractor=extractor, cache=tmp_path)
    again = measured(model, TINY, TINY_MEASUREMENT, data, extractor=extractor, cache=tmp_path)
    assert result.metrics == again.metrics

    with torch.no_grad():
        images = data.test.images.float() / 255
        output = model(images)
        codes = model.codes(images)
    assert result.metrics["test_mse"] == pytest.approx(((output - images) ** 2).mean().item())
    values = np.linalg.svd(np.cov(codes.double().numpy().T))[1]
    np.testing.assert_allclose(result.metrics["spectrum"], values, rtol=1e-4, atol=1e-12)
    assert rank(result.metrics["spectrum"]) == rank(values)
    features = [x[:, 0, ::8, ::8].flatten(1).double().numpy() for x in (output.clamp(0, 1), images)]
    statistics = [stat for f in features for stat in (f.mean(0), np.cov(f.T))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = calculate_frechet_distance(*statistics)
    assert result.metrics["fid"]["reconstruction"] == pytest.approx(expected, rel=1e-4)
    assert set(result.metrics["fid"]) == {"reconstruction", "real", *FITTED}
    assert result.images["samples"].shape == (500, 1, 32, 32)
    assert result.images["samples"].dtype == np.uint8
    originals = result.images["originals"]
    assert np.array_equal(originals, data.test.images.numpy())
    shown = np.round(output.clamp(0, 1).numpy() * 255)
    # In another batch, and so rounded otherwise at times.
    assert np.abs(result.images["reconstructions"] - shown[:10]).max() <= 1
    assert set(result.metrics["neighbours"]) == {"real", *FITTED}
    mean = data.train.images.double().mean(dim=0)
    error = ((data.test.images.double() - mean) ** 2).mean().item() / 255**2
    assert result.metrics["mean_image_mse"] == pytest.approx(error)
    for scores in result.metrics["log_likelihood"].values():
        assert set(scores) == {"train", "held_out"}


def test_the_floor_is_the_distance_of_real_training_images(
    tmp_path: Path, sample: LoadedData
) -> None:
    """Against pytorch-fid, of as many training images as samples, spread over the split."""
    data = LoadedData(sample.train, sample.test.spread(32), "")
    model = build("mnist", latent_dim=8, depth=2, seed=1)
    extractor = _identity_extractor()
    found = measured(model, TINY, TINY_MEASUREMENT, data, extractor=extractor, cache=tmp_path)
    chosen = np.linspace(0, 1023, 40).astype(int)
    features = [
        images[:, 0, ::8, ::8].flatten(1).double().numpy() / 255
        for images in (sample.train.images[chosen], data.test.images)
    ]
    statistics = [stat for f in features for stat in (f.mean(0), np.cov(f.T))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = calculate_frechet_distance(*statistics)
    assert found.metrics["fid"]["real"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "has_prior"), [("vae", True), ("wae-mmd", True), ("rae", False)])
def test_methods_with_a_prior_are_sampled_from_it(
    tmp_path: Path, sample: LoadedData, name: str, has_prior: bool
) -> None:
    spec = replace(TINY, method=name, depth=0, parameters=PARAMETERS[name])
    data = LoadedData(sample.train.spread(64), sample.test.spread(32), "")
    extractor = _identity_extractor()
    model = initial_model(spec).eval()
    metrics = measured(
        model, spec, TINY_MEASUREMENT, data, extractor=extractor, cache=tmp_path
    ).metrics
    for kind in ("fid", "neighbours", "log_likelihood"):
        assert ("prior" in metrics[kind]) == has_prior
    # A VAE's codes are means, or are drawn: both spectra are kept.
    assert ("spectrum_sampled" in metrics) == (name == "vae")
    if name == "vae":
        assert sum(metrics["spectrum_sampled"]) > sum(metrics["spectrum"])


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


def test_evaluation_is_in_fp32_whatever_pytorch_would_do(
    tmp_path: Path, sample: LoadedData
) -> None:
    identity = _identity_extractor()
    seen: set[bool] = set()

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.update(_in_tf32())
        return identity.network(images)

    model = build("mnist", latent_dim=8, depth=2, seed=1)
    data = LoadedData(sample.train.spread(64), sample.test.spread(32), "")
    with arithmetic("tf32", torch.device("cuda")):
        seeing = replace(identity, network=network)
        measured(model, TINY, TINY_MEASUREMENT, data, extractor=seeing, cache=tmp_path)
        assert _in_tf32() == {True}
    assert seen == {False}


def _in_tf32() -> set[bool]:
    """Whether products of matrices, and convolutions, may be in tf32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    conv = getattr(cudnn, "conv", None)
    if conv is not None and hasattr(conv, "fp32_precision"):
        return {owner.fp32_precision == "tf32" for owner in (matmul, conv)}
    return {owner.allow_tf32 for owner in (matmul, cudnn)}


def test_kept_images_are_spread_over_the_test_images(sample: LoadedData) -> None:
    """Data of the user's own may be sorted by class."""
    model = build("mnist", latent_dim=8, depth=2, seed=1)
    data = LoadedData(sample.train.spread(64), sample.test.spread(512), "")
    whole = replace(TINY_MEASUREMENT, test_images=512)
    kept = evaluate(model, TINY, whole, data).images["originals"]
    assert len(kept) == 500
    assert np.array_equal(kept[-1], data.test.images[-1].numpy())


def test_interpolations_are_straight_and_end_at_the_images() -> None:
    model = build("mnist", latent_dim=8, depth=2, seed=1).eval()
    codes = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    with torch.no_grad():
        made = pictures(model, codes)
        middle = model.decoder(torch.from_numpy(codes[2:3] * 4 / 9 + codes[3:4] * 5 / 9))
    ways = made["interpolations"]
    assert ways.shape == (4, 10, 1, 32, 32)
    ends = [ways[:, 0], ways[:, -1]]
    pairs = made["reconstructions"][:8].reshape(4, 2, 1, 32, 32)
    for end, images in zip(ends, (pairs[:, 0], pairs[:, 1]), strict=True):
        assert np.abs(end.astype(int) - images).max() <= 1
    assert np.abs(ways[1, 5] - as_bytes(middle)[0].astype(int)).max() <= 1


def test_walks_follow_scikit_learns_principal_components() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 3
    walks = principal_walks(codes)
    assert walks.shape == (4, 9, 6)
    reference = PCA(4).fit(codes)
    np.testing.assert_allclose(walks[:, 4], np.tile(reference.mean_, (4, 1)))
    steps = walks[:, -1] - walks[:, 4]
    deviations = np.linalg.norm(steps, axis=1)
    np.testing.assert_allclose(deviations, 3 * np.sqrt(reference.explained_variance_))
    cosines = (steps / deviations[:, None] * reference.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1)


def test_pictures_of_two_codes_in_one_dimension() -> None:
    model = build("mnist", latent_dim=1, seed=1).eval()
    with torch.no_grad():
        made = pictures(model, np.zeros((2, 1), np.float32))
    assert {name: len(images) for name, images in made.items()} == {
        "reconstructions": 2,
        "interpolations": 1,
        "walks": 1,
    }


def test_reference_statistics_are_those_of_their_data(tmp_path: Path, sample: LoadedData) -> None:
    model = build("mnist", latent_dim=8, depth=2, seed=1)
    data = LoadedData(sample.train.spread(64), sample.test.spread(32), "")
    other = LoadedData(sample.train.spread(64), Split(255 - data.test.images, data.test.labels), "")
    extractor = _identity_extractor()
    fid = [
        measured(model, TINY, TINY_MEASUREMENT, d, extractor=extractor, cache=tmp_path).metrics[
            "fid"
        ]
        for d in (data, other)
    ]
    assert fid[0]["mvg"] != fid[1]["mvg"]
    assert len(list(tmp_path.glob("reference-*.pt"))) == 2
    for path in tmp_path.glob("reference-*.pt"):
        path.write_bytes(b"damaged")
    again = measured(model, TINY, TINY_MEASUREMENT, data, extractor=extractor, cache=tmp_path)
    assert again.metrics["fid"] == fid[0]
