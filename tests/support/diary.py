from __future__ import annotations

import copy
from typing import Any

import torch

from bench.experiments.spec import TrainingSpec
from bench.training.loop import HistoryLine, train
from bench.training.trainee import Trainee


class Diary:
    """Collects what training reports: lines by run, states by run and step."""

    def __init__(self) -> None:
        self.lines: dict[TrainingSpec, list[HistoryLine]] = {}
        self.states: dict[tuple[TrainingSpec, int], dict[str, Any]] = {}

    def log(self, trainee: Trainee, line: HistoryLine) -> None:
        self.lines.setdefault(trainee.spec, []).append(line)

    def checkpoint(self, trainee: Trainee) -> None:
        self.states[trainee.spec, trainee.step] = copy.deepcopy(trainee.state_dict())

    def losses(self, spec: TrainingSpec) -> list[float]:
        return [line.loss for line in self.lines[spec]]


def train_all(
    images: torch.Tensor, *trainees: Trainee, diary: Diary | None = None
) -> dict[Trainee, Exception]:
    """Train to the end, with a checkpoint every fourth step."""
    diary = diary or Diary()
    return train(
        trainees,
        images,
        images[:40],
        log=diary.log,
        checkpoint=diary.checkpoint,
        checkpoint_steps=4,
    )
