"""Latent rank: how many directions of the latent space carry variance (section 2 of the paper)."""

from __future__ import annotations

import numpy as np

from bench.protocol import RANK_THRESHOLD

THRESHOLDS = (1e-1, 1e-2, RANK_THRESHOLD, 1e-4, 1e-5, 1e-6)


def spectrum(codes: np.ndarray) -> np.ndarray:
    """Singular values of the covariance of codes, largest first.

    Args:
        codes: float, shape (n, latent_dim), n at least 2.

    Returns:
        float64, shape (latent_dim,), at least 0.
    """
    covariance = np.atleast_2d(np.cov(codes.astype(np.float64), rowvar=False))
    return np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0)


def rank(values: np.ndarray, threshold: float = RANK_THRESHOLD) -> int:
    """Number of singular values above ``threshold`` times the largest; 0 for constant codes."""
    return int(np.count_nonzero(values > threshold * values.max(initial=0.0)))
