import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance

from bench.evaluation.frechet import Gaussian, fit, frechet_distance


def _gaussian(rng: np.random.Generator, samples: int, dimensions: int) -> Gaussian:
    mixing = rng.normal(size=(dimensions, dimensions))
    rows = rng.normal(size=(samples, dimensions)) @ mixing + rng.normal(size=dimensions)
    return fit(torch.from_numpy(rows))


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
        Gaussian(
            torch.from_numpy(rng.normal(size=d)), torch.from_numpy(basis @ np.diag(r**2) @ basis.T)
        )
        for r in (s, t)
    )
    expected = ((a.mean - b.mean) ** 2).sum().item() + ((s - t) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_frechet_distance_of_one_direction_from_all_in_closed_form() -> None:
    """Variances that are 0, but for rounding, add nothing."""
    direction, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 1)))
    mean = torch.zeros(200, dtype=torch.float64)
    thin = Gaussian(mean, torch.from_numpy(900 * direction @ direction.T))
    identity = Gaussian(mean, torch.eye(200, dtype=torch.float64))
    assert frechet_distance(thin, identity) == pytest.approx(29**2 + 199, rel=1e-10)


def test_frechet_distance_of_equal_and_constant_gaussians() -> None:
    rng = np.random.default_rng(0)
    deficient = _gaussian(rng, 10, 50)
    assert frechet_distance(deficient, deficient) == pytest.approx(0, abs=1e-9)
    constant = Gaussian(deficient.mean + 2, torch.zeros(50, 50, dtype=torch.float64))
    expected = 4 * 50 + deficient.covariance.trace().item()
    assert frechet_distance(deficient, constant) == pytest.approx(expected)
    lost = Gaussian(torch.full_like(deficient.mean, torch.nan), deficient.covariance)
    with pytest.raises(ArithmeticError, match="not a number"):
        frechet_distance(lost, deficient)


@pytest.mark.parametrize("count", [20, 60, 80])
def test_a_root_times_its_transpose_is_the_covariance(count: int) -> None:
    gaussian = _gaussian(np.random.default_rng(0), count, 60)
    torch.testing.assert_close(gaussian.root @ gaussian.root.T, gaussian.covariance)


def test_what_lapacks_fastest_drivers_give_up_on_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(2, 80, 60)))
    expected = frechet_distance(*map(fit, rows))

    def gives_up(matrix: torch.Tensor) -> None:
        raise RuntimeError("failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", gives_up)
    monkeypatch.setattr(torch.linalg, "svdvals", gives_up)
    found = frechet_distance(*map(fit, rows))
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.integers(2, 40), st.integers(0, 1000))
def test_statistics_are_numpys(count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(1e4, 1, size=(count, 3)).astype(np.float32)
    mean, covariance = _numpy(fit(torch.from_numpy(rows)))
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(exact, rowvar=False), atol=1e-9)
