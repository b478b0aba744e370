"""A feature extractor on a device: the network that a Fréchet distance looks through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from bench.evaluation.extractors import ExtractorSpec
from bench.evaluation.frechet import Gaussian, fit


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features.

    Attributes:
        name: as in :mod:`bench.evaluation.extractors`.
        dimensions: number of features.
        checksum: SHA-256 of its weights, in hex; two classifiers are two extractors.
        network: float images (n, 3, height, width) in [0, 1] to features (n, dimensions).
        device: where the network lies.
        batch_size: images that go through it at once.
    """

    name: str
    dimensions: int
    checksum: str
    network: Callable[[torch.Tensor], torch.Tensor]
    device: torch.device
    batch_size: int

    @classmethod
    def load(cls, spec: ExtractorSpec, device: torch.device) -> Extractor:
        """Load a declared extractor onto a device.

        Raises:
            BenchError: its weights are not the declared ones, or cannot be had.
        """
        network = spec.load(device)
        return cls(spec.name, spec.dimensions, spec.checksum, network, device, spec.batch_size)

    @torch.no_grad()
    def features(self, batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Features of float images, which come in batches of any size and are clipped to [0, 1].

        They stay where the network is.
        """
        for batch in batches:
            for part in batch.split(self.batch_size):
                inputs = three_channels(part.to(self.device).float().clamp(0, 1))
                yield self.network(inputs)

    def gaussian(self, batches: Iterable[torch.Tensor]) -> Gaussian:
        """Mean and covariance of the features of images."""
        return fit(self.features(batches))


def three_channels(images: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, size, size); grey ones are repeated."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
