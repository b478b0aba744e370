"""A feature extractor on a device: the network whose features a Fréchet distance compares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from bench.errors import BenchError, naming
from bench.evaluation.extractors import DeclaredExtractor, Network


@dataclass(frozen=True)
class Extractor:
    """An extractor whose network is loaded onto a device."""

    declared: DeclaredExtractor
    network: Network
    device: torch.device

    @classmethod
    def load(cls, declared: DeclaredExtractor, device: torch.device) -> Extractor:
        """Load a declared extractor onto a device.

        Raises:
            BenchError: its weights are not the declared ones, or cannot be had, or a plugin's code
                failed.
        """
        with naming(f"extractor {declared.name} cannot be loaded", torch.OutOfMemoryError):
            return cls(declared, declared.load(device), device)

    @torch.no_grad()
    def features(self, batches: Iterable[torch.Tensor]) -> torch.Tensor:
        """Features (n, dimensions) of images, on the network's device.

        Batches of any size are float images (m, 1 or 3, height, width), clipped here to [0, 1].

        Raises:
            BenchError: the network has another number of features than was declared.
        """
        size, expected = self.declared.batch_size, self.declared.dimensions
        parts = (part.to(self.device) for batch in batches for part in batch.split(size))
        # A single grey channel is repeated.
        inputs = (part.float().clamp(0, 1).expand(-1, 3, -1, -1) for part in parts)
        found = torch.cat([self.network(each) for each in inputs])
        if found.shape[1:] != (expected,):
            raise BenchError(
                f"extractor {self.declared.name}: features of the shape {tuple(found.shape[1:])}, "
                f"where {expected} are declared"
            )
        return found
