from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data import dataset
from bench.data.toyfaces import BINS, FACTORS, draw, generate


def test_faces_come_from_the_seed_and_their_factors_alone() -> None:
    split = generate(20, seed=5)
    assert split.images.shape == (20, 3, 64, 64)
    assert split.images.dtype == torch.uint8
    assert torch.equal(generate(20, seed=5).images, split.images)
    assert torch.equal(generate(7, seed=5).images, split.images[:7])
    assert not torch.equal(generate(20, seed=6).images, split.images)
    factors = np.random.default_rng(5).random((20, len(FACTORS)), dtype=np.float32)
    # Drawn one by one, a face is what it is among others.
    alone = np.concatenate([draw(factors[i : i + 1]) for i in range(20)])
    assert np.array_equal(alone, split.images.numpy())


def test_factors_are_uniform_and_independent() -> None:
    labels = generate(4_000, seed=1).labels.numpy()
    assert dataset("toyfaces").classes == (BINS,) * len(FACTORS)
    counts = np.stack([np.bincount(column, minlength=BINS) for column in labels.T])
    expected = len(labels) / BINS
    assert (np.abs(counts - expected) < 5 * expected**0.5).all()
    correlations = np.corrcoef(labels.T) - np.eye(len(FACTORS))
    assert np.abs(correlations).max() < 5 / len(labels) ** 0.5


@pytest.mark.parametrize("factor", range(len(FACTORS)), ids=FACTORS)
def test_every_factor_shows(factor: int) -> None:
    faces = np.full((5, len(FACTORS)), 0.5, np.float32)
    faces[:, factor] = np.linspace(0.05, 0.95, 5)
    drawn = draw(faces).astype(int)
    steps = np.abs(np.diff(drawn, axis=0)).max(axis=(1, 2, 3))
    # Each step of a factor changes some pixel by more than a viewer's threshold.
    assert (steps > 20).all()
    # And its ends differ most: no factor comes back to where it began.
    assert np.abs(drawn[-1] - drawn[0]).mean() > np.abs(drawn[1] - drawn[0]).mean()
