import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from bench.evaluation.mixture import fit_on_device
from tests.support.clusters import clusters


def _fitted(points: np.ndarray, device: torch.device) -> tuple[GaussianMixture, GaussianMixture]:
    ours, theirs = (GaussianMixture(10, reg_covar=1e-6, random_state=7) for _ in range(2))
    return fit_on_device(ours, points, device), theirs.fit(points)


@pytest.mark.parametrize("used", [2, 5, 12])
def test_mixture_on_a_device_takes_scikit_learns_steps(used: int) -> None:
    """Rank-deficient points are among them: only ``reg_covar`` keeps their covariances regular."""
    points = clusters(used, used=used).astype(np.float64)
    points /= points.std()
    ours, theirs = _fitted(points, torch.device("cpu"))
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    assert ours.score(points) == pytest.approx(theirs.score(points), abs=1e-3)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-6)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6)


@pytest.mark.gpu
def test_mixture_on_a_gpu_has_scikit_learns_likelihood() -> None:
    points = clusters(0, n=20_000, used=40, d=128).astype(np.float64)
    points /= points.std()
    ours, theirs = _fitted(points, torch.device("cuda"))
    assert ours.score(points) == pytest.approx(theirs.score(points), abs=1e-3)
