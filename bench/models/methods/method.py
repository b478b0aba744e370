"""What a method declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.models.networks import Autoencoder
from bench.spec import RunSpec

# (model, images (n, channels, size, size) in [0, 1], generator for noise, spec) to a scalar.
Loss = Callable[[Autoencoder, torch.Tensor, torch.Generator, RunSpec], torch.Tensor]


@dataclass(frozen=True)
class Method:
    """A way to train an autoencoder.

    Attributes:
        name: as in :data:`bench.spec.METHODS`.
        citation: where it comes from.
        loss: what training minimises.
        output: last activation of the decoder, ``tanh`` or ``sigmoid``.
        doubled: whether the encoder puts out a mean and a log-variance.
    """

    name: str
    citation: str
    loss: Loss
    output: str = "tanh"
    doubled: bool = False
