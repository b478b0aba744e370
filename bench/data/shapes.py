"""The synthetic shapes of the supplement's section 1.1: seven factors and nothing else."""

from pathlib import Path

import numpy as np
import torch

from bench.data import Dataset
from bench.data.images import LoadedData, Split
from bench.hashing import derive_seed

IMAGE_SIZE = 32
SIZES = (3, 8)
CENTRES = (8, 24)
_CHUNK = 4096


def load(dataset: Dataset, data_dir: Path) -> LoadedData:
    """Generate both splits from the declared seed, see :meth:`bench.data.Dataset.load`."""
    seed, enlarged = int(dataset.content["seed"]), int(dataset.content.get("enlarged", 1))
    train, test = (
        generate(count, derive_seed(split, seed), enlarged)
        for split, count in (("train", dataset.train), ("test", dataset.test))
    )
    return LoadedData(train, test, "generated")


def generate(count: int, seed: int, enlarged: int = 1) -> Split:
    """Draw shapes: circle or square, size 3-8, centre 8-24 (all inclusive), uniform RGB colour.

    The size is a circle's radius and half a square's side, in pixels; the image spans 0 to 32, so
    that every shape just fits. The background is black. Each pixel is repeated ``enlarged`` times
    in width and height.

    Returns:
        Images (count, 3, 32 * enlarged, 32 * enlarged), and labels (count, 7): kind, size, x, y
        and the three colour channels in eight bins, each counted from 0.
    """
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, count)
    size = rng.integers(SIZES[0], SIZES[1] + 1, count)
    centre = rng.integers(CENTRES[0], CENTRES[1] + 1, (count, 2))
    colour = rng.integers(0, 256, (count, 3), dtype=np.uint8)

    images = np.zeros((count, 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    pixels = np.arange(IMAGE_SIZE) + 0.5
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        dx = np.abs(pixels[None, None, :] - centre[part, 0, None, None])
        dy = np.abs(pixels[None, :, None] - centre[part, 1, None, None])
        radius = size[part, None, None]
        circle = dx**2 + dy**2 <= radius**2
        square = np.maximum(dx, dy) <= radius
        mask = np.where(kind[part, None, None] == 0, circle, square)
        images[part] = mask[:, None] * colour[part, :, None, None]

    labels = np.column_stack([kind, size - SIZES[0], centre - CENTRES[0], colour // 32])
    images = images.repeat(enlarged, axis=2).repeat(enlarged, axis=3)
    return Split(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))
