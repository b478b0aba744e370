"""Several runs trained as one: their weights lie side by side, and one pass serves them all.

These networks are small and the paper's batch is 32: a GPU spends a step on launching kernels, and
many runs that are launched together take little longer than one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap

from bench.data.images import to_float
from bench.training.trainee import Batches, Trainee

_MOMENTS = ("exp_avg", "exp_avg_sq")


def signature(trainee: Trainee) -> Hashable:
    """What runs that are to be stacked must have in common: all but method's name, depth and seed.

    A run that cannot be stacked has its signature for itself: its method does not declare
    ``stacks``, its network keeps statistics of the batch, or it trains in bf16, since autocast has
    no effect under ``vmap``.
    """
    method, spec = trainee.method, trainee.spec
    keeps_statistics = next(trainee.model.buffers(), None) is not None
    if not method.stacks or keeps_statistics or spec.precision == "bf16":
        return trainee
    shared = replace(spec, method="", depth=0, init_scale=1.0, seed=0)
    return method.loss, method.output, method.doubled, shared


class Stack:
    """Runs of one :func:`signature`, at the same step, advanced together.

    Their weights, moments and losses become views of stacked tensors, so that between steps each
    can be saved, measured or trained alone. Runs with fewer linear layers than the deepest are
    filled up with identities, which are held; a product with one is exact, or rounds codes as the
    next layer would.

    Attributes:
        members: the runs.
        step: optimiser steps done.
    """

    def __init__(self, members: Sequence[Trainee]) -> None:
        """Take over the runs' weights and moments."""
        self.members = tuple(members)
        deepest = max(members, key=lambda member: member.spec.depth)
        self.step = deepest.step
        self._device = deepest.device
        self._form = _Loss(deepest)
        self._weights: dict[str, torch.Tensor] = {}
        states: dict[torch.Tensor, Any] = {}
        named = [dict(member.model.named_parameters()) for member in members]
        for name, example in deepest.model.named_parameters():
            rows = [parameters.get(name) for parameters in named]
            self._weights[name], states[self._weights[name]] = self._take(example, rows)
        self._optimizer = torch.optim.Adam(
            self._weights.values(), lr=deepest.spec.learning_rate, fused=True
        )
        self._optimizer.state.update(states)
        self._losses = torch.stack([member.loss for member in members])
        for member, loss in zip(members, self._losses, strict=True):
            member.loss = loss
        self._batches = Batches([member.spec for member in members])

    def _take(
        self, example: torch.Tensor, rows: Sequence[torch.Tensor | None]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Stacked values and moments of a parameter, of which the runs' own become views."""
        held = [i for i, row in enumerate(rows) if row is None]
        identity = torch.eye(len(example)) if held else example
        weights = _side_by_side(example, [identity if row is None else row for row in rows])
        step, none = torch.tensor(float(self.step), device=self._device), torch.zeros(())
        states = [
            {} if row is None else member.optimizer.state[row]
            for member, row in zip(self.members, rows, strict=True)
        ]
        moments = {
            kind: _side_by_side(example, [state.get(kind, none) for state in states])
            for kind in _MOMENTS
        }
        for i, (row, state) in enumerate(zip(rows, states, strict=True)):
            if row is not None:
                row.data = weights[i]
                state["step"] = step.clone()
                state.update({kind: values[i] for kind, values in moments.items()})
        weights.requires_grad_()
        if held:
            identities = torch.tensor(held, device=self._device)
            weights.register_hook(lambda gradient: gradient.index_fill(0, identities, 0.0))
        return weights, {"step": step, **moments}

    def advance(self, images: torch.Tensor) -> None:
        """Take one optimiser step with every run, each on its own batch.

        Args:
            images: uint8 (train_images, channels, size, size), on any device.
        """
        chosen = self._batches.at(self.step, images.device)
        batches = to_float(images[chosen.flatten()].to(self._device)).unflatten(0, chosen.shape)
        self._optimizer.zero_grad()
        losses = vmap(self._loss_of)(self._weights, batches)
        losses.sum().backward()
        self._optimizer.step()
        self._losses += losses.detach()
        self.step += 1

    def _loss_of(self, weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        """Loss of one run; of all, with a first dimension more, under ``vmap``."""
        named = {f"model.{name}": values for name, values in weights.items()}
        return functional_call(self._form, named, (images,))

    def settle(self) -> None:
        """Tell the runs how far they are; until then they must not be saved or trained alone."""
        for member in self.members:
            member.settle(self.step)
            member.stacked = max(member.stacked, len(self.members))


class _Loss(nn.Module):
    """A run's loss, as a module whose weights can be given to it."""

    def __init__(self, trainee: Trainee) -> None:
        """Take the run's form and none of its values."""
        super().__init__()
        self.model = deepcopy(trainee.model).to("meta")
        self._method, self._spec = trainee.method, trainee.spec
        # For the signature's sake: a method that draws from it cannot be stacked.
        self._noise = torch.Generator(trainee.device)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Loss of images (batch_size, channels, size, size)."""
        return self._method.loss(self.model, images, self._noise, self._spec)


def _side_by_side(example: torch.Tensor, values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors in one (len(values), ...), each laid out in memory as the example is."""
    stacked = torch.empty_strided(
        (len(values), *example.shape),
        (example.numel(), *example.stride()),
        dtype=example.dtype,
        device=example.device,
    )
    for row, value in zip(stacked, values, strict=True):
        row.copy_(value.detach())
    return stacked
