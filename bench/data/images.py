"""Images in memory: uint8 tensors, and their resizing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

# This many go through a network at once, where no gradient is taken.
BATCH = 250


@dataclass(frozen=True)
class Split:
    """Images and labels of one split.

    Attributes:
        images: uint8, shape (n, channels, height, width), values 0-255.
        labels: int64, shape (n, labels).
    """

    images: torch.Tensor
    labels: torch.Tensor

    @property
    def checksum(self) -> str:
        """SHA-256 over the images, in hex."""
        digest = hashlib.sha256()
        # Images may be mapped into memory, and more than it holds.
        for part in self.images.split(BATCH):
            digest.update(part.contiguous().numpy())
        return digest.hexdigest()

    def spread(self, count: int) -> Split:
        """Take so many images, evenly spread.

        The first ones would be no fair sample: MNIST is sorted by writer, other data by class.
        """
        if count == len(self.images):
            return self
        chosen = spread(len(self.images), count)
        return Split(self.images[chosen], self.labels[chosen])


def spread(available: int, count: int) -> torch.Tensor:
    """Indices (count,) of as many different items, evenly over all that are available.

    Raises:
        ValueError: more are asked for than there are.
    """
    if count > available:
        raise ValueError(f"{count} of {available} cannot be chosen")
    return torch.linspace(0, available - 1, count, dtype=torch.float64).long()


@dataclass(frozen=True)
class LoadedData:
    """Both splits of a data set, and where its files came from, for the log."""

    train: Split
    test: Split
    source: str


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize uint8 images (n, channels, h, w) to (n, channels, size, size).

    Bilinear and antialiased, the filter of PIL's ``Image.resize``. Fastest where channels
    are last in memory.
    """
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def batches(images: torch.Tensor, device: torch.device) -> Iterator[torch.Tensor]:
    """uint8 images as networks take them, :data:`BATCH` at a time, on a device."""
    return (to_float(part.to(device)) for part in images.split(BATCH))


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Images as networks take them: PyTorch's default float in [0, 1], channels last in memory."""
    return images.to(torch.get_default_dtype(), memory_format=torch.channels_last).div_(255)
