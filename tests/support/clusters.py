"""Codes in a subspace, as IRMAE leaves them."""

import numpy as np


def clusters(seed: int, n: int = 4000, used: int = 3, d: int = 12) -> np.ndarray:
    """Two clusters in a subspace of ``used`` of ``d`` dimensions, away from the origin."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(2, used)) * 4
    points = centres[rng.integers(0, 2, n)] + rng.normal(size=(n, used))
    return (points @ rng.normal(size=(used, d)) + 5).astype(np.float32)
