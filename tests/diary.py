from __future__ import annotations

import copy
from typing import Any

import torch

from bench.spec import RunSpec
from bench.training.loop import Progress, train
from bench.training.trainee import Trainee


class Diary:
    """Collects what training reports: lines by run, states by run and step."""

    def __init__(self) -> None:
        self.lines: dict[RunSpec, list[Progress]] = {}
        self.states: dict[tuple[RunSpec, int], dict[str, Any]] = {}

    def log(self, trainee: Trainee, progress: Progress) -> None:
        self.lines.setdefault(trainee.spec, []).append(progress)

    def checkpoint(self, trainee: Trainee) -> None:
        self.states[trainee.spec, trainee.step] = copy.deepcopy(trainee.state_dict())

    def losses(self, spec: RunSpec) -> list[float]:
        return [line.loss for line in self.lines[spec]]


def train_all(
    images: torch.Tensor, *trainees: Trainee, diary: Diary | None = None
) -> dict[Trainee, Exception]:
    """Train to the end, with a checkpoint every fourth step."""
    diary = diary or Diary()
    return train(trainees, images, log=diary.log, checkpoint=diary.checkpoint, checkpoint_steps=4)
