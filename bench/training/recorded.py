"""Runs trained side by side on a GPU, which is told their step once and repeats it.

These networks are small and the paper's batch is 32: a GPU that is told every operation of every
step waits for the CPU, and one run leaves most of it idle. In a CUDA graph each run has a branch of
its own, in which its arithmetic is that of the run alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from bench.training.trainee import Trainee

# Told one by one before a step is recorded, since libraries choose their kernels in the first.
_TOLD = 3


class Recorded:
    """Runs at the same step on one GPU, with batches of one size, advanced together.

    Attributes:
        members: the runs.
    """

    def __init__(self, members: Sequence[Trainee], images: torch.Tensor) -> None:
        """Take the runs; nothing is recorded yet.

        Args:
            members: runs whose methods are declared ``repeats``.
            images: uint8 (train_images, channels, size, size) on the GPU: the ones that every
                step is made with.
        """
        self.members = tuple(members)
        self._images = images
        shape = (len(members), members[0].spec.batch_size)
        self._chosen = torch.zeros(shape, dtype=torch.int64, device=images.device)
        # Told and recorded steps share the streams: libraries keep their memory by stream.
        self._main = torch.cuda.Stream(images.device)
        self._branches = [torch.cuda.Stream(images.device) for _ in members]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._told = 0

    def advance(self) -> None:
        """Take one optimiser step with every run, each on its own batch."""
        choices = [member.next_batch(self._images.device) for member in self.members]
        whole = len(choices[0]) == self._chosen.shape[1]
        if not whole or self._told < _TOLD:
            self._tell(choices)
            self._told += whole
            return
        torch.stack(choices, out=self._chosen)
        if self._graph is None:
            self._graph = self._record()
        self._graph.replay()
        for member in self.members:
            member.count()

    def _tell(self, choices: Sequence[torch.Tensor]) -> None:
        """One run after the other, so that one that fails leaves each at a step of its own."""
        # Of this GPU, which need not be the first.
        current = torch.cuda.current_stream(self._images.device)
        self._main.wait_stream(current)
        for member, chosen, branch in zip(self.members, choices, self._branches, strict=True):
            branch.wait_stream(self._main)
            with torch.cuda.stream(branch):
                member.take_step(self._images, chosen)
            current.wait_stream(branch)
            member.count()

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for member in self.members:
            graph.register_generator_state(member.noise)
        with self._recordable_optimizers(), torch.cuda.graph(graph, stream=self._main):
            for member, chosen, branch in zip(
                self.members, self._chosen, self._branches, strict=True
            ):
                branch.wait_stream(self._main)
                with torch.cuda.stream(branch):
                    member.take_step(self._images, chosen)
            for branch in self._branches:
                self._main.wait_stream(branch)
        return graph

    @contextlib.contextmanager
    def _recordable_optimizers(self) -> Iterator[None]:
        """Fused Adam can be recorded, but refuses it where it was not announced."""
        groups = [group for member in self.members for group in member.optimizer.param_groups]
        for group in groups:
            group["capturable"] = True
        try:
            yield
        finally:
            for group in groups:
                group["capturable"] = False
