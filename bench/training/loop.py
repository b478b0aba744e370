"""The only training loop: Adam, batch by batch, over images that lie on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bench.errors import BenchError, UsageError
from bench.machine import Stopwatch
from bench.models.device import raise_if_of_device
from bench.models.precision import arithmetic
from bench.training.recorded import Recorded
from bench.training.trainee import Trainee

# Reading the loss waits for the device, so it is read this seldom.
LOG_STEPS = 100


@dataclass(frozen=True)
class HistoryLine:
    """One line of a run's history.

    Attributes:
        step: optimiser steps done.
        epoch: the same in epochs.
        loss: mean over the steps since the last line.
        seconds: time in training so far, earlier sittings included and pauses left out.
    """

    step: int
    epoch: float
    loss: float
    seconds: float


def train(
    group: Sequence[Trainee],
    images: torch.Tensor,
    test_images: torch.Tensor,
    *,
    log: Callable[[Trainee, HistoryLine], None],
    checkpoint: Callable[[Trainee], None],
    checkpoint_steps: int,
) -> dict[Trainee, Exception]:
    """Train a group of runs to the end of their specs: side by side on a GPU, else in turns.

    A run's numbers depend neither on the others in its group nor on whether it was stopped and
    went on from a checkpoint, but for a GPU's rounding. Where memory does not suffice for so many
    side by side, half of them go on; once a run has failed alone, all others go on together again.

    Args:
        group: the runs; those that share data and precision can share a group.
        images: uint8 (train_images, channels, size, size), see :func:`place`.
        test_images: uint8 (m, channels, size, size), whose codes' spectrum every epoch ends with.
        log: called with each line of a run's history, every :data:`LOG_STEPS` steps and at the end.
        checkpoint: called when a run's state is worth keeping, its end included.
        checkpoint_steps: how often that is; a multiple of :data:`LOG_STEPS`.

    Returns:
        The runs that failed, each with its reason, whatever their methods raised; the others are
        done.

    Raises:
        UsageError: the group mixes precisions, or one that the device lacks.
        BenchError: the device failed, or what is logged or kept cannot be written.
    """
    if checkpoint_steps % LOG_STEPS:
        raise ValueError(f"checkpoint_steps must be a multiple of {LOG_STEPS}")
    precisions = {trainee.spec.precision for trainee in group}
    if len(precisions) > 1:
        raise UsageError(f"a group trains in one precision, not in {sorted(precisions)}")
    failures: dict[Trainee, Exception] = {}
    active = [trainee for trainee in group if trainee.step < trainee.spec.steps]
    teams: _Teams = {}
    most = len(group)
    with contextlib.ExitStack() as stack:
        clock = stack.enter_context(Stopwatch().running())
        for precision in precisions:
            stack.enter_context(arithmetic(precision, group[0].device))
        while active:
            members = _furthest_behind(active, images, most)
            due = _next_line(members[0])
            try:
                _advance(members, due, teams, images, clock)
            except Exception as error:  # noqa: BLE001 - the other runs go on
                raise_if_of_device(error, f"training {members[0].spec.name}")
                # Halves of the group need less memory, and in the end show whose failure it is.
                if len(members) > 1:
                    most = len(members) // 2
                    teams.clear()
                else:
                    failures[members[0]] = error
                    # Without that run, the others may fit together again.
                    most = len(group)
            for trainee in members:
                if trainee.step < due or trainee in failures:
                    continue
                try:
                    _report(trainee, test_images, log, checkpoint, checkpoint_steps)
                except (BenchError, OSError):
                    raise
                except Exception as error:  # noqa: BLE001 - the other runs go on
                    raise_if_of_device(error, f"training {trainee.spec.name}")
                    failures[trainee] = error
            active = [t for t in active if t not in failures and t.step < t.spec.steps]
    return failures


# Runs that a GPU advances together, by who they are.
_Teams = dict[tuple[Trainee, ...], Recorded]


def _furthest_behind(
    active: Sequence[Trainee], images: torch.Tensor, most: int
) -> tuple[Trainee, ...]:
    """The runs that go on next, so that those that can go side by side meet and stay together."""
    first = min(active, key=lambda trainee: trainee.step)
    if not _repeats(first, images):
        return (first,)

    def meets(other: Trainee) -> bool:
        ours, theirs = first.spec, other.spec
        sizes = ours.batch_size == theirs.batch_size, ours.train_images == theirs.train_images
        return other.step == first.step and all(sizes) and _repeats(other, images)

    return tuple(trainee for trainee in active if meets(trainee))[:most]


def _repeats(trainee: Trainee, images: torch.Tensor) -> bool:
    """Whether a GPU can repeat a step of a run: it reads nothing that is not on the GPU."""
    return trainee.method.repeats and images.device.type == trainee.device.type == "cuda"


def _next_line(trainee: Trainee) -> int:
    """The step of a run's next line of history or end of an epoch."""
    step = trainee.step
    return step + min(every - step % every for every in (LOG_STEPS, trainee.spec.steps_per_epoch))


def _advance(
    members: tuple[Trainee, ...], due: int, teams: _Teams, images: torch.Tensor, clock: Stopwatch
) -> None:
    """Train runs that are at the same step up to a later one."""
    start = clock.seconds()
    try:
        if not _repeats(members[0], images):
            (alone,) = members
            while alone.step < due:
                alone.advance(images)
        elif members not in teams:
            for others in [others for others in teams if not set(others).isdisjoint(members)]:
                del teams[others]
            teams[members] = Recorded(members, images)
        while members[0].step < due:
            teams[members].advance()
        # The device may lag behind what it was told to do.
        members[-1].loss.item()
        for trainee in members:
            trainee.side_by_side = max(trainee.side_by_side, len(members))
    finally:
        for trainee in members:
            trainee.seconds += (clock.seconds() - start) / len(members)


def _report(
    trainee: Trainee,
    test_images: torch.Tensor,
    log: Callable[[Trainee, HistoryLine], None],
    checkpoint: Callable[[Trainee], None],
    checkpoint_steps: int,
) -> None:
    """Take what is due: a line of history, the spectrum, a checkpoint."""
    step, spec = trainee.step, trainee.spec
    at_end = step == spec.steps
    if step % LOG_STEPS == 0 or at_end:
        loss, epoch = trainee.mean_loss(), step / spec.steps_per_epoch
        log(trainee, HistoryLine(step, round(epoch, 4), loss, round(trainee.seconds, 3)))
    if step % spec.steps_per_epoch == 0:
        trainee.record_spectrum(test_images)
    if step % checkpoint_steps == 0 or at_end:
        checkpoint(trainee)
