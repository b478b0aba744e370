"""The only training loop: Adam, batch by batch, over images that lie on the device."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.data import dataset
from bench.data.images import to_float
from bench.errors import UsageError
from bench.models.methods import method
from bench.models.networks import Autoencoder, build
from bench.spec import RunSpec, derive_seed

# Reading the loss waits for the device, so it is read this seldom.
LOG_STEPS = 100


class NonFiniteLossError(ArithmeticError):
    """The loss of a run became infinite or not a number."""


@dataclass(frozen=True)
class Progress:
    """One line of a run's history.

    Attributes:
        step: optimiser steps done.
        epoch: the same in epochs.
        loss: mean over the steps since the last line.
        seconds: time in training so far, earlier sittings included.
    """

    step: int
    epoch: float
    loss: float
    seconds: float


def batch_order(spec: RunSpec, epoch: int) -> torch.Tensor:
    """Indices (train_images,) of the training images in the order in which an epoch takes them.

    A function of the run's seed and the epoch alone, so that runs of one seed are paired and a
    resumed run goes on where it stopped.
    """
    if not spec.shuffle:
        return torch.arange(spec.train_images)
    generator = torch.Generator().manual_seed(derive_seed("order", spec.seed, epoch))
    return torch.randperm(spec.train_images, generator=generator)


def place(
    images: torch.Tensor, device: torch.device, free_bytes: int | None = None
) -> torch.Tensor:
    """Training images where batches are taken from: on the device, if they leave it half its room.

    Args:
        images: uint8 (n, channels, size, size), in memory or mapped into it; mapped images that
            stay where they are are read batch by batch.
        device: where the models are.
        free_bytes: room on the device; what a GPU says of itself where it is not given.
    """
    if device.type == "cuda" and free_bytes is None:
        free_bytes = torch.cuda.mem_get_info(device)[0]
    if free_bytes is not None and images.nbytes > free_bytes // 2:
        return images
    return images.to(device, memory_format=torch.channels_last)


class Trainee:
    """One run in training: its model, its optimiser and how far it is.

    Attributes:
        spec: what is trained.
        device: where.
        model: the autoencoder, on the device.
        step: optimiser steps done.
        seconds: time spent in training.
    """

    def __init__(self, spec: RunSpec, device: torch.device) -> None:
        """Build the run's model with its initial weights."""
        self.spec = spec
        self.device = device
        self.method = method(spec.method)
        self.model: Autoencoder = build(
            dataset(spec.dataset).network,
            latent_dim=spec.latent_dim,
            depth=spec.depth,
            init_scale=spec.init_scale,
            doubled=self.method.doubled,
            output=self.method.output,
            architecture=spec.architecture,
            width=spec.width,
            seed=spec.seed,
        )
        if self.method.prepare is not None:
            # Preparation may draw numbers, as a spectral norm's power iteration does.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed("prepare", spec.seed))
                self.method.prepare(self.model)
        self.model.to(device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=spec.learning_rate, fused=True
        )
        self.step = 0
        self.seconds = 0.0
        self._noise = torch.Generator(device)
        self._loss = torch.zeros((), device=device)
        self._order = torch.empty(0, dtype=torch.int64)
        self._order_epoch = -1

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, at a step where a line was logged."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.seconds = state["seconds"]

    def advance(self, images: torch.Tensor) -> None:
        """Take one optimiser step on uint8 images (train_images, channels, size, size).

        The images may lie elsewhere than the model; a batch is then taken to it.
        """
        spec = self.spec
        epoch, batch = divmod(self.step, spec.steps_per_epoch)
        if epoch != self._order_epoch:
            self._order = batch_order(spec, epoch).to(images.device)
            self._order_epoch = epoch
        chosen = self._order[batch * spec.batch_size : (batch + 1) * spec.batch_size]
        # Seeded by the step, so that a resumed run draws the noise it would have drawn.
        self._noise.manual_seed(derive_seed("noise", spec.seed, self.step))
        self.optimizer.zero_grad()
        batch_images = to_float(images[chosen].to(self.device))
        loss = self.method.loss(self.model, batch_images, self._noise, spec)
        loss.backward()
        self.optimizer.step()
        self._loss += loss.detach()
        self.step += 1

    def mean_loss(self, steps: int) -> float:
        """Read the mean loss of the last ``steps`` steps.

        Raises:
            NonFiniteLossError: it is infinite or not a number.
        """
        loss = self._loss.item() / steps
        self._loss.zero_()
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"loss became {loss} between steps {self.step - steps} and {self.step}; "
                "a smaller learning_rate may help"
            )
        return loss


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in the given precision, and leave PyTorch's switches as they were.

    Raises:
        UsageError: ``tf32`` on a device other than a GPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("--precision tf32 needs a GPU; use fp32 or bf16")
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = cudnn


def train(
    group: Sequence[Trainee],
    images: torch.Tensor,
    *,
    log: Callable[[Trainee, Progress], None],
    checkpoint: Callable[[Trainee], None],
    checkpoint_steps: int,
) -> dict[Trainee, Exception]:
    """Train a group of runs, side by side, to the end of their specs.

    A run's numbers do not depend on the others in its group, nor on whether it was stopped and
    went on from a checkpoint.

    Args:
        group: the runs; those that share data and precision can share a group.
        images: uint8 (n, channels, size, size), see :func:`place`; a run takes its first ones.
        log: called with each line of a run's history, every :data:`LOG_STEPS` steps and at the end.
        checkpoint: called when a run's state is worth keeping, its end included.
        checkpoint_steps: how often that is; a multiple of :data:`LOG_STEPS`.

    Returns:
        The runs that failed, each with its reason; the others are done.

    Raises:
        UsageError: the group mixes precisions, or one that the device lacks.
    """
    if checkpoint_steps % LOG_STEPS:
        raise ValueError(f"checkpoint_steps must be a multiple of {LOG_STEPS}")
    precisions = {trainee.spec.precision for trainee in group}
    if len(precisions) > 1:
        raise UsageError(f"a group trains in one precision, not in {sorted(precisions)}")
    failures: dict[Trainee, Exception] = {}
    active = [trainee for trainee in group if trainee.step < trainee.spec.steps]
    with contextlib.ExitStack() as stack:
        for precision in precisions:
            stack.enter_context(arithmetic(precision, group[0].device))
        while active:
            for trainee in list(active):
                try:
                    _sit(trainee, images, log, checkpoint, checkpoint_steps)
                except (ArithmeticError, torch.OutOfMemoryError) as error:
                    failures[trainee] = error
                if trainee in failures or trainee.step == trainee.spec.steps:
                    active.remove(trainee)
    return failures


def _sit(
    trainee: Trainee,
    images: torch.Tensor,
    log: Callable[[Trainee, Progress], None],
    checkpoint: Callable[[Trainee], None],
    checkpoint_steps: int,
) -> None:
    """Train one run up to its next line of history."""
    total = trainee.spec.steps
    steps = min(LOG_STEPS - trainee.step % LOG_STEPS, total - trainee.step)
    start = time.perf_counter()
    for _ in range(steps):
        trainee.advance(images)
    loss = trainee.mean_loss(steps)
    trainee.seconds += time.perf_counter() - start
    epoch = trainee.step / trainee.spec.steps_per_epoch
    log(trainee, Progress(trainee.step, round(epoch, 4), loss, round(trainee.seconds, 3)))
    if trainee.step % checkpoint_steps == 0 or trainee.step == total:
        checkpoint(trainee)
