"""Latent rank: how many directions of the latent space carry variance (section 2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, log
from typing import TYPE_CHECKING

from bench.evaluation.protocol import RANK_THRESHOLD

if TYPE_CHECKING:
    import numpy as np


def spectrum(codes: np.ndarray) -> np.ndarray:
    """Singular values (latent_dim,) of the covariance of codes (n, latent_dim), largest first.

    They are float64; n is at least 2.
    """
    import numpy as np

    covariance = np.atleast_2d(np.cov(codes.astype(np.float64), rowvar=False))
    return np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0)


def rank(values: Sequence[float] | np.ndarray, threshold: float = RANK_THRESHOLD) -> int:
    """Number of singular values above ``threshold`` times the largest; 0 for constant codes."""
    largest = max(values, default=0.0)
    return sum(value > threshold * largest for value in values)


def effective_rank(values: Sequence[float] | np.ndarray) -> float:
    """Exponential of the entropy of the normalised singular values (Roy and Vetterli 2007).

    Between 1 and the number of values: with equal shares it is their number. 0 for constant codes.
    """
    total = fsum(values)
    shares = [value / total for value in values if value > 0] if total > 0 else []
    return exp(-fsum(share * log(share) for share in shares)) if shares else 0.0
