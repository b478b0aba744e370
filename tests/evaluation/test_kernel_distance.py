"""The kernel distance against torch-fidelity's, and where it is known."""

import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from bench.evaluation.kernel_distance import kernel_distance, self_similarity


def _drawn(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.rand(count, 12, generator=torch.Generator().manual_seed(seed)) + shift


def _distance(samples: torch.Tensor, real: torch.Tensor) -> float:
    return kernel_distance(samples, real, self_similarity(real))


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_it_is_torch_fidelitys(shift: float) -> None:
    samples, real = _drawn(1_200, 0, shift), _drawn(1_200, 1)
    # One subset of all images is the unbiased estimate over all pairs.
    expected = kid_features_to_metric(
        samples.double(), real.double(), kid_subsets=1, kid_subset_size=1_200, verbose=False
    )["kernel_inception_distance_mean"]
    assert _distance(samples, real) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_it_is_unbiased() -> None:
    """Over many draws of few images it averages to nothing, and is negative about half the time."""
    found = [_distance(_drawn(20, seed), _drawn(30, 1_000 + seed)) for seed in range(200)]
    mean = sum(found) / 200
    deviation = torch.tensor(found).std().item()
    assert abs(mean) < 4 * deviation / 200**0.5
    assert 60 < sum(value < 0 for value in found) < 160
