"""Fréchet distance of Gaussians (Heusel et al., NeurIPS 2017) and its streamed statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and unbiased covariance (d, d) of features, float64."""

    mean: np.ndarray
    covariance: np.ndarray

    @cached_property
    def root(self) -> np.ndarray:
        """Factor R (d, d) with R R^T = covariance; directions without variance are exactly 0."""
        values, vectors = np.linalg.eigh(self.covariance)
        rounding = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
        return vectors * np.sqrt(np.where(values > rounding, values, 0.0))


def fit(batches: Iterable[np.ndarray]) -> Gaussian:
    """Mean and covariance of features that arrive in batches, never all in memory.

    Args:
        batches: arrays (n_i, d) of any float type; at least 2 rows in all.

    Raises:
        ValueError: fewer than two rows.
    """
    offset: np.ndarray | None = None
    total: np.ndarray | float = 0.0
    products: np.ndarray | float = 0.0
    count = 0
    for batch in _gathered(batches):
        rows = batch.astype(np.float64)
        if offset is None:
            # Sums about a point near the mean lose no digits to cancellation.
            offset = rows.mean(axis=0)
        rows -= offset
        count += len(rows)
        total = total + rows.sum(axis=0)
        products = products + rows.T @ rows
    if offset is None or count < 2:
        raise ValueError(f"a covariance needs at least two rows of features, not {count}")
    covariance = (products - np.outer(total, total) / count) / (count - 1)
    return Gaussian(offset + total / count, covariance)


def _gathered(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Batches joined to at least as many rows as columns.

    Of fewer, adding up (d, d) products takes longer than multiplying.
    """
    held: list[np.ndarray] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= batch.shape[1]:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A^1/2 B A^1/2)^1/2), at least 0.

    The trace of the root is the sum of the singular values of A^1/2 B^1/2. Taken so, it is exact
    to rounding where a covariance is rank-deficient too (fewer samples than dimensions), which
    the square root of a product's eigenvalues is not.
    """
    difference = a.mean - b.mean
    overlap = np.linalg.svd(a.root.T @ b.root, compute_uv=False).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return max(0.0, float(difference @ difference + traces - 2 * overlap))
