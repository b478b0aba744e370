"""Fréchet distance of Gaussians (Heusel et al., NeurIPS 2017) and its streamed statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import scipy.linalg
import torch


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and unbiased covariance (d, d) of features, float64, on the device they lie on."""

    mean: torch.Tensor
    covariance: torch.Tensor

    @cached_property
    def root(self) -> torch.Tensor:
        """Factor R (d, d) with R R^T = covariance; directions without variance are exactly 0."""
        values, vectors = _eigh(self.covariance)
        rounding = len(values) * torch.finfo(torch.float64).eps * values[-1].clamp(min=0)
        return vectors * values.where(values > rounding, 0.0).sqrt()

    def to(self, device: torch.device) -> Gaussian:
        """The same on another device."""
        return Gaussian(self.mean.to(device), self.covariance.to(device))


def fit(batches: Iterable[torch.Tensor]) -> Gaussian:
    """Mean and covariance of features that arrive in batches, never all in memory.

    Args:
        batches: tensors (n_i, d) of any float type, on one device; at least 2 rows in all.

    Raises:
        ValueError: fewer than two rows.
    """
    offset: torch.Tensor | None = None
    total: torch.Tensor | float = 0.0
    products: torch.Tensor | float = 0.0
    count = 0
    for batch in _gathered(batches):
        rows = batch.double()
        if offset is None:
            # Sums about a point near the mean lose no digits to cancellation.
            offset = rows.mean(dim=0)
        rows = rows - offset
        count += len(rows)
        total = total + rows.sum(dim=0)
        products = products + rows.T @ rows
    if offset is None or count < 2:
        raise ValueError(f"a covariance needs at least two rows of features, not {count}")
    mean = torch.as_tensor(total / count)
    covariance = (products - torch.outer(mean, mean) * count) / (count - 1)
    return Gaussian(offset + mean, covariance)


def _gathered(batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Batches joined to at least as many rows as columns.

    Of fewer, adding up (d, d) products takes longer than multiplying.
    """
    held: list[torch.Tensor] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= batch.shape[1]:
            yield torch.cat(held)
            held = []
    if held:
        yield torch.cat(held)


# LAPACK's fastest drivers give up on some covariances of few rows in many dimensions, which have
# hundreds of eigenvalues that are 0 but for rounding; its slower ones do not.
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

    The trace of the root is the sum of the singular values of A^1/2 B^1/2. Taken so, it is exact
    to rounding where a covariance is rank-deficient too (fewer samples than dimensions), which
    the square root of a product's eigenvalues is not.

    Args:
        a: on any device.
        b: on the same.
    """
    difference = a.mean - b.mean
    overlap = _singular_values(a.root.T @ b.root).sum()
    traces = a.covariance.trace() + b.covariance.trace()
    return max(0.0, (difference @ difference + traces - 2 * overlap).item())
