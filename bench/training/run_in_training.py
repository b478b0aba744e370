"""One run in training: its model, its optimiser, and the order of its images."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.data.images import batches, to_float
from bench.evaluation.spectrum import spectrum
from bench.experiments.spec import TrainingSpec
from bench.hashing import derive_seed
from bench.machine import core_count
from bench.models.methods import method
from bench.models.networks import initial_model
from bench.models.precision import arithmetic


class NonFiniteLossError(ArithmeticError):
    """The loss of a run became infinite or not a number."""


def batch_order(spec: TrainingSpec, epoch: int) -> torch.Tensor:
    """Indices (train_images,) of the training images in the order in which an epoch takes them.

    The order depends on the run's seed and the epoch alone. So runs of one seed see the same
    batches, and a resumed run goes on where it stopped.
    """
    if not spec.shuffle:
        return torch.arange(spec.train_images)
    generator = torch.Generator().manual_seed(derive_seed("order", spec.seed, epoch))
    return torch.randperm(spec.train_images, generator=generator)


def to_device(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy training images, uint8 (n, channels, size, size), to the device of the models.

    Where they take more than half of a GPU's free memory they are returned as they came, in memory
    or mapped into it, and batches are copied one by one.
    """
    if device.type == "cuda":
        # PyTorch's cache of freed memory does not count as free.
        torch.cuda.empty_cache()
        if images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            return images
    return images.to(device, memory_format=torch.channels_last)


def _adam(parameters: Iterable[nn.Parameter], spec: TrainingSpec) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=spec.learning_rate, fused=True)


# Attributes that a checkpoint has as they are.
_KEPT = ("step", "seconds", "side_by_side", "segments", "history", "unread")


class RunInTraining:
    """One run in training: its model, its optimiser and how far it is.

    Attributes:
        spec: what is trained.
        device: where it is trained.
        model: the autoencoder, on the device.
        noise: generator for the method's loss, on the device.
        step: optimiser steps done.
        seconds: time spent in training; runs that train at once share their time equally.
        loss: sum of the losses since the last line that forgot them, a scalar on the device.
        unread: number of steps in that sum.
        side_by_side: largest number of runs that a GPU trained at once, this one included.
        spectra: spectrum of the test codes after each epoch so far, float64 (latent_dim,) each.
        segments: provenance of the segments of training so far, see :meth:`start_segment`.
        history: lines of the training curve so far: ``step``, the same in ``epoch``s, mean ``loss``
            since the last line, ``seconds`` in training, with earlier segments and without pauses.
    """

    def __init__(self, spec: TrainingSpec, device: torch.device) -> None:
        """Build the run's model with its initial weights."""
        self.spec = spec
        self.device = device
        self.method = method(spec.method)
        self.model = initial_model(spec).to(device)
        self.optimizer = (self.method.optimizer or _adam)(self.model.parameters(), spec)
        self.step = 0
        self.seconds = 0.0
        self.noise = torch.Generator(device)
        self.loss = torch.zeros((), device=device)
        self.side_by_side = 1
        self.spectra: list[np.ndarray] = []
        self.segments: list[dict[str, str | int]] = []
        self.history: list[dict[str, float]] = []
        self.unread = 0
        self._order = torch.empty(0, dtype=torch.int64)
        self._epoch = -1

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run and its history depend on."""
        return {name: getattr(self, name) for name in _KEPT} | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "spectra": [torch.from_numpy(values) for values in self.spectra],
            "loss": self.loss,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss.copy_(state["loss"])
        self.spectra = [values.numpy() for values in state["spectra"]]
        for name in _KEPT:
            setattr(self, name, state[name])

    def start_segment(self, provenance: Mapping[str, str | int]) -> None:
        """Note commit, versions, hardware of the steps from here on, if they differ from before.

        ``from_step`` is added. On a CPU the number of threads, by which sums are rounded, stays
        that of the first step there, as far as there are cores.
        """
        segment = {**provenance, "from_step": self.step}
        before = [each for each in self.segments if each["device"] == self.device.type == "cpu"]
        if before:
            segment["threads"] = min(int(before[0]["threads"]), core_count())
        if not self.segments or (
            self.step < self.spec.steps and self.segments[-1] | {"from_step": self.step} != segment
        ):
            self.segments.append(segment)

    @property
    def threads(self) -> int:
        """CPU threads that were noted for the steps to come; 0 before anything was."""
        return int(self.segments[-1]["threads"]) if self.segments else 0

    def advance(self, images: torch.Tensor) -> None:
        """Take one optimiser step on uint8 images (train_images, channels, size, size).

        The images may lie on another device than the model; each batch is then copied to it.
        """
        self.step_eagerly(images, self.next_batch(images.device))

    def step_eagerly(self, images: torch.Tensor, chosen: torch.Tensor) -> None:
        """Take a step that is in no graph, and count it; one that fails can be taken again."""
        before = [buffer.clone() for buffer in self.model.buffers()]
        try:
            self.take_step(images, chosen)
        except Exception:
            # Running statistics and spectral norms' vectors would change twice.
            for buffer, value in zip(self.model.buffers(), before, strict=True):
                buffer.data.copy_(value)
            if self.step == 0:
                # The first step makes the optimiser's state part by part.
                self.optimizer.state.clear()
            raise
        self.count()

    def next_batch(self, device: torch.device) -> torch.Tensor:
        """Seed the noise of the next step, and choose its images.

        Their indices (batch_size,), fewer in an incomplete last batch, are on the images' device.
        """
        spec = self.spec
        # Seeded by the step, so that a resumed run draws the noise it would have drawn.
        self.noise.manual_seed(derive_seed("noise", spec.seed, self.step))
        epoch, batch = divmod(self.step, spec.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = batch_order(spec, epoch).to(device), epoch
        return self._order[batch * spec.batch_size : (batch + 1) * spec.batch_size]

    def take_step(self, images: torch.Tensor, chosen: torch.Tensor) -> None:
        """Do the part of a step that runs on the device, on the images of these indices.

        It may be captured in a CUDA graph and replayed, so only the values in tensors may differ
        from one step to the next.
        """
        self.optimizer.zero_grad()
        batch_images = to_float(images[chosen].to(self.device))
        loss = self.method.loss(self.model, batch_images, self.noise, self.spec)
        # As PyTorch asks: each gradient has the precision that its operation had.
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()
        self.optimizer.step()
        self.loss += loss.detach()

    def count(self) -> None:
        """Count a step that was taken."""
        self.step += 1
        self.unread += 1

    def record_spectrum(self, images: torch.Tensor, training: torch.Tensor) -> None:
        """Add the spectrum of the codes of test images to :attr:`spectra`.

        What the method fits to the training images is fitted before; weights, noise and running
        statistics stay as they are. Both are uint8 (n, channels, size, size), n at least 2.

        Raises:
            NonFiniteLossError: a code is infinite or not a number.
        """
        self.model.eval()
        with torch.no_grad(), arithmetic("fp32", self.device):
            if self.method.fit is not None:
                self.method.fit(self.model, lambda: batches(training, self.device), self.spec)
            test = batches(images, self.device)
            codes = [self.model.codes(batch).float().cpu().numpy() for batch in test]
        self.model.train()
        joined = np.concatenate(codes)
        if not np.isfinite(joined).all():
            raise NonFiniteLossError(
                f"codes became infinite or not a number by step {self.step}; "
                "a smaller learning_rate may help"
            )
        self.spectra.append(spectrum(joined))

    def add_line(self, *, forget: bool) -> None:
        """Add a line to :attr:`history`; the next one's mean leaves out the steps that it forgets.

        Raises:
            NonFiniteLossError: the mean loss is infinite or not a number.
        """
        loss = self.loss.item() / self.unread
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"loss became {loss} between steps {self.step - self.unread} and {self.step}; "
                "a smaller learning_rate may help"
            )
        epoch, seconds = round(self.step / self.spec.steps_per_epoch, 4), round(self.seconds, 3)
        self.history.append({"step": self.step, "epoch": epoch, "loss": loss, "seconds": seconds})
        if forget:
            self.loss.zero_()
            self.unread = 0
