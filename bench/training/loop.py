"""The only training loop: batch by batch, for one run or several on one device."""

from collections.abc import Callable, Sequence

import torch

from bench.device import raise_unless_of_run
from bench.errors import BenchError
from bench.machine import Stopwatch
from bench.models.precision import arithmetic, subnormals_flushed
from bench.training.run_in_training import RunInTraining
from bench.training.side_by_side import SideBySide

# Reading the loss makes the CPU wait for the device, so it is read only once in this many steps.
LOG_STEPS = 100


def train(
    group: Sequence[RunInTraining],
    images: torch.Tensor,
    test_images: torch.Tensor,
    *,
    log: Callable[[RunInTraining], None],
    checkpoint: Callable[[RunInTraining], None],
    checkpoint_steps: int,
    is_over: Callable[[], bool] = lambda: False,
) -> dict[RunInTraining, BaseException]:
    """Train a group of runs to the end of their specs: side by side on a GPU, else in turns.

    A run's numbers depend neither on the others in its group nor on whether it was stopped and
    resumed, except for a GPU's rounding.

    Args:
        group: the runs; they share data, batch size and precision.
        images: uint8 (train_images, channels, size, size), see
            :func:`bench.training.run_in_training.to_device`.
        test_images: uint8 (m, channels, size, size); the spectrum of their codes is recorded after
            every epoch.
        log: called when a run's history has a new line: every :data:`LOG_STEPS` steps, and at its
            end.
        checkpoint: called when a run's state is worth keeping, and at its end.
        checkpoint_steps: steps from one checkpoint to the next, a multiple of :data:`LOG_STEPS`.
        is_over: whether it is time to stop, asked when no run is ahead of what is kept of it.

    Returns:
        The runs that failed, each with what was raised. All other runs are done, unless it was
        time to stop.

    Raises:
        UsageError: the device lacks the group's precision.
        BenchError: the device failed, or ``log`` or ``checkpoint`` cannot write.
    """
    if not group:
        return {}
    together = SideBySide(group, images)
    # The step of each run that is on the disk, or that it came with.
    kept = {run: run.step for run in group}

    def report(run: RunInTraining) -> None:
        """Take what is due: a line of history, the spectrum, a checkpoint."""
        at_end, at_line = run.step == run.spec.steps, run.step % LOG_STEPS == 0
        if at_line or at_end:
            # A longer run, which goes on from the end of this one, has no line there.
            run.add_line(forget=at_line)
            log(run)
        if run.step % run.spec.steps_per_epoch == 0:
            together.record_spectrum(run, test_images)
        if run.step % checkpoint_steps == 0 or at_end:
            checkpoint(run)
            kept[run] = run.step

    with (
        Stopwatch().running() as clock,
        arithmetic(group[0].spec.precision, group[0].device),
        subnormals_flushed(),
    ):
        while together.unfinished():
            members, start = together.furthest_behind(), clock.seconds()
            step, epoch = members[0].step, members[0].spec.steps_per_epoch
            # The next line of history or end of an epoch.
            due = step + min(every - step % every for every in (LOG_STEPS, epoch))
            together.advance(members, due)
            for run in members:
                run.seconds += (clock.seconds() - start) / len(members)
            for run in members:
                if run.step < due or run in together.failures:
                    continue
                try:
                    report(run)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - the other runs go on
                    raise_unless_of_run(error, f"training {run.spec.name}", BenchError, OSError)
                    together.failures[run] = error
            if all(run.step == kept[run] for run in together.unfinished()) and is_over():
                break
    return together.failures
