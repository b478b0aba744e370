"""Fréchet distance of Gaussians (Heusel et al., NeurIPS 2017), and how they are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import scipy.linalg
import torch


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and unbiased covariance (d, d) of features, float64, on the features' device.

    Where it is known of how many features, ``rows`` says so: the covariance's rank is below it.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    rows: int | None = None

    @cached_property
    def root(self) -> torch.Tensor:
        """Factor R (d, r) with R R^T = covariance; directions without variance are exactly 0.

        With fewer rows of features than half of d, r is their number.
        """
        values, vectors = _eigh(self.covariance)
        rounding = len(values) * torch.finfo(torch.float64).eps * values[-1].clamp(min=0)
        if self.rows is not None and 2 * self.rows < len(values):
            # The largest come last.
            values, vectors = values[-self.rows :], vectors[:, -self.rows :]
        return vectors * values.where(values > rounding, 0.0).sqrt()


def fit(features: torch.Tensor) -> Gaussian:
    """Mean and covariance of features (n, d) of any float type.

    Raises:
        ValueError: n is less than 2.
    """
    count = len(features)
    if count < 2:
        raise ValueError(f"a covariance needs at least two rows of features, not {count}")
    rows = features.double()
    offset = rows.mean(dim=0)
    centred = rows - offset
    # What rounding has left of the mean.
    rest = centred.sum(dim=0) / count
    covariance = (centred.T @ centred - torch.outer(rest, rest) * count) / (count - 1)
    return Gaussian(offset + rest, covariance, count)


# LAPACK's fastest drivers fail on some covariances of few rows in many dimensions, which have
# hundreds of eigenvalues that are 0 except for rounding. Its slower drivers do not.
def _eigh(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:
        found = scipy.linalg.eigh(matrix.cpu().numpy(), driver="evr")
        values, vectors = (torch.from_numpy(each).to(matrix.device) for each in found)
    return values, vectors


def _singular_values(matrix: torch.Tensor) -> torch.Tensor:
    try:
        return torch.linalg.svdvals(matrix)
    except RuntimeError:
        found = scipy.linalg.svd(matrix.cpu().numpy(), compute_uv=False, lapack_driver="gesvd")
        return torch.from_numpy(found).to(matrix.device)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A^1/2 B A^1/2)^1/2), at least 0.

    The trace of the root is computed as the sum of the singular values of A^1/2 B^1/2. Unlike the
    square roots of a product's eigenvalues, it is exact to rounding for rank-deficient covariances
    (fewer samples than dimensions), too. Both Gaussians are on one device.
    """
    difference = a.mean - b.mean
    overlap = _singular_values(a.root.T @ b.root).sum()
    traces = a.covariance.trace() + b.covariance.trace()
    return max(0.0, (difference @ difference + traces - 2 * overlap).item())
