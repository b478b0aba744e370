"""What a method declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.experiments.spec import TrainingSpec

# A method can be declared, and so planned, without PyTorch.
if TYPE_CHECKING:
    import torch

    from bench.models.networks import Autoencoder

# (model, images (n, channels, size, size) in [0, 1], generator for noise, spec) to a scalar.
Loss = Callable[["Autoencoder", "torch.Tensor", "torch.Generator", TrainingSpec], "torch.Tensor"]


@dataclass(frozen=True)
class Method:
    """A way to train an autoencoder.

    Attributes:
        name: as in a run's spec.
        citation: where it comes from.
        loss: what training minimises.
        output: last activation of the decoder, ``tanh`` or ``sigmoid``.
        doubled: whether the encoder puts out a mean and a log-variance.
        prepare: changes a new model in place, before its optimiser is made.
        has_prior: whether codes are drawn towards a standard normal prior, which can be sampled.
        repeats: whether a GPU may be told a step once and repeat it (a CUDA graph), side by side
            with other runs'. The loss then does the same at every step: it decides nothing by the
            numbers (no ``.item()``), and what it draws comes from the generator it is given.
    """

    name: str
    citation: str
    loss: Loss
    output: str = "tanh"
    doubled: bool = False
    prepare: Callable[[Autoencoder], None] | None = None
    has_prior: bool = False
    repeats: bool = False
