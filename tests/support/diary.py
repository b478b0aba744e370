"""Training to the end, with all that it reports."""

import copy
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from bench.experiments.spec import TrainingSpec
from bench.training import loop
from bench.training.run_in_training import RunInTraining


class Diary:
    """Collects what training reports: lines by run, states by run and step."""

    def __init__(self) -> None:
        self.lines: dict[TrainingSpec, list[dict[str, float]]] = {}
        self.states: dict[tuple[TrainingSpec, int], dict[str, Any]] = {}

    def log(self, run: RunInTraining) -> None:
        self.lines[run.spec] = run.history

    def checkpoint(self, run: RunInTraining) -> None:
        self.states[run.spec, run.step] = copy.deepcopy(run.state_dict())

    def losses(self, spec: TrainingSpec) -> list[float]:
        return [line["loss"] for line in self.lines[spec]]


def train_all(
    images: torch.Tensor,
    *runs: RunInTraining,
    diary: Diary | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> dict[RunInTraining, BaseException]:
    """Train to the end, with a line every second step and a checkpoint every fourth."""
    diary = diary or Diary()
    with mock.patch.object(loop, "LOG_STEPS", 2):
        return loop.train(
            runs,
            images,
            images[:40],
            log=diary.log,
            checkpoint=diary.checkpoint,
            checkpoint_steps=4,
            is_over=is_over,
        )


def weights(run: RunInTraining) -> torch.Tensor:
    """Every weight of a run, in one vector."""
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def movement(run: RunInTraining) -> torch.Tensor:
    """How far training has moved every weight of a run, in one vector."""
    return weights(run).cpu() - weights(RunInTraining(run.spec, torch.device("cpu")))


def moved_alike(one: RunInTraining, other: RunInTraining, share: float) -> bool:
    """Whether two runs' weights have moved by the same, but for this share of the way."""
    first, second = movement(one), movement(other)
    return bool((first - second).norm() <= share * second.norm())
