"""The methods, each in a file of its own; a user registers further ones from a plugin."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import register, require_name, unknown
from bench.experiments.spec import TrainingSpec

# Runs are planned without importing PyTorch.
if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.models.networks import Autoencoder

# Takes the model, float images (n, channels, size, size) in [0, 1], a generator for noise and the
# spec; returns a scalar.
Loss = Callable[["Autoencoder", "torch.Tensor", "torch.Generator", TrainingSpec], "torch.Tensor"]

MakeOptimizer = Callable[[Iterable["nn.Parameter"], TrainingSpec], "torch.optim.Optimizer"]
Fit = Callable[["Autoencoder", Callable[[], Iterator["torch.Tensor"]], TrainingSpec], None]


@dataclass(frozen=True)
class Method:
    """A way to train an autoencoder.

    Attributes:
        name: its name in specs, file names and tables.
        citation: the publication it comes from.
        loss: what training minimises.
        output: last activation of the decoder, ``tanh`` or ``sigmoid``.
        doubled: whether the encoder returns a mean and a log-variance.
        adapt: changes a new model in place, before its optimiser is made.
        optimizer: makes it, of the model's parameters; None for Adam at the spec's learning rate.
            On a GPU it must be one that takes ``capturable`` where the method is ``graph_safe``.
        fit: sets buffers of the model from float images of the training set, which it may go
            through in batches more than once, without gradients. It is called after every epoch,
            before the spectrum of the test codes is taken, and so before anything is measured.
            Training must not depend on it.
        has_prior: whether the loss pulls codes towards N(0, I), which can then be sampled.
        graph_safe: whether a step may be captured in a CUDA graph and replayed. The loss must then
            launch the same operations at every step: it decides nothing by numbers (no
            ``.item()``), and draws only from the generator it is given.
        source: SHA-256 of the plugin that registered it, set by the suite; empty for its own.
    """

    name: str
    citation: str
    loss: Loss
    output: str = "tanh"
    doubled: bool = False
    adapt: Callable[[Autoencoder, TrainingSpec], None] | None = None
    optimizer: MakeOptimizer | None = None
    fit: Fit | None = None
    has_prior: bool = False
    graph_safe: bool = False
    source: str = ""


# Each in the module of its name, which is imported when the method is first looked up.
_OWN = (
    *("ae", "irmae", "vae", "wae-mmd", "rae", "rae-l2", "rae-gp", "rae-sn"),
    *("irmae-wd", "lorae", "least-volume", "rrae", "nested-dropout", "pca"),
)
REGISTERED_METHODS: dict[str, Method] = {}


def method(name: str) -> Method:
    """Look a method up by its name.

    Raises:
        UsageError: there is no such method; the message has the nearest names.
    """
    if name in REGISTERED_METHODS:
        return REGISTERED_METHODS[name]
    if name not in _OWN:
        raise unknown("method", name, [*_OWN, *REGISTERED_METHODS])
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").METHOD


def register_method(new: Method) -> None:
    """Add a method, so that specs can name it.

    Raises:
        UsageError: another method has that name; records would be filed under both.
    """
    require_name("method", new.name)
    register(REGISTERED_METHODS, "a method", new.name, new, _OWN)


def source_of(name: str) -> str:
    """SHA-256, in hex, of the plugin that a method comes from; empty for the suite's own.

    Their code has protocol numbers, see :mod:`bench.store.identity`.
    """
    return REGISTERED_METHODS[name].source if name in REGISTERED_METHODS else ""
