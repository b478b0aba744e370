"""The only training loop: batch by batch, over images that lie on the device."""

import traceback
from collections.abc import Callable, Sequence

import torch

from bench.device import is_out_of_memory, raise_unless_of_run, use_threads
from bench.errors import BenchError
from bench.machine import Stopwatch
from bench.models.precision import arithmetic, subnormals_flushed
from bench.training.cuda_graph import GraphedRuns
from bench.training.run_in_training import RunInTraining

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
    resumed, except for a GPU's rounding. Where memory does not suffice for all of them side by
    side, half of them go on; once a run has failed alone, all others go on together again.

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
    first, most = group[0], len(group)
    failures: dict[RunInTraining, BaseException] = {}
    graphs: _Graphs = {}
    streams: list[torch.cuda.Stream] = []
    # The step of each run that is on the disk, or that it came with.
    kept = {run: run.step for run in group}

    def unfinished() -> list[RunInTraining]:
        return [run for run in group if run not in failures and run.step < run.spec.steps]

    def report(run: RunInTraining) -> None:
        """Take what is due: a line of history, the spectrum, a checkpoint."""
        at_end, at_line = run.step == run.spec.steps, run.step % LOG_STEPS == 0
        if at_line or at_end:
            # A longer run, which goes on from the end of this one, has no line there.
            run.add_line(forget=at_line)
            log(run)
        if run.step % run.spec.steps_per_epoch == 0:
            _record_spectrum(run, test_images, images, graphs)
        if run.step % checkpoint_steps == 0 or at_end:
            checkpoint(run)
            kept[run] = run.step

    with (
        Stopwatch().running() as clock,
        arithmetic(first.spec.precision, first.device),
        subnormals_flushed(),
    ):
        over = False
        while not over and (active := unfinished()):
            members = _furthest_behind(active, images)[:most]
            # The next line of history or end of an epoch.
            step, epoch = members[0].step, members[0].spec.steps_per_epoch
            due = step + min(every - step % every for every in (LOG_STEPS, epoch))
            start = clock.seconds()
            # Those that were noted for the steps to come.
            try:
                _advance(members, due, graphs, streams, images)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the other runs go on
                raise_unless_of_run(error, f"training {members[0].spec.name}")
                # What the step has computed so far.
                traceback.clear_frames(error.__traceback__)
                others = graphs.keys() - {members}
                graphs.clear()
                # Half of the runs need less memory, and smaller groups show which run fails. One
                # that trains alone lacks what graphs of others hold.
                if len(members) > 1 or (others and is_out_of_memory(error)):
                    most = len(members) // 2 or most
                else:
                    failures[members[0]] = error
                    # Without that run, the others may fit together again.
                    most = len(group)
            for run in members:
                run.seconds += (clock.seconds() - start) / len(members)
            for run in members:
                if run.step < due or run in failures:
                    continue
                try:
                    report(run)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - the other runs go on
                    raise_unless_of_run(error, f"training {run.spec.name}", BenchError, OSError)
                    failures[run] = error
            ahead = any(run.step > kept[run] for run in unfinished())
            over = not ahead and is_over()
    return failures


_Graphs = dict[tuple[RunInTraining, ...], GraphedRuns]


def _record_spectrum(
    run: RunInTraining, test_images: torch.Tensor, images: torch.Tensor, graphs: _Graphs
) -> None:
    """Record a run's spectrum, without the graphs, which are captured anew, where memory is short.

    A method's own error may have the same type, and then comes again.
    """
    try:
        run.record_spectrum(test_images, images)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        graphs.clear()
        run.record_spectrum(test_images, images)


def _furthest_behind(
    active: Sequence[RunInTraining], images: torch.Tensor
) -> tuple[RunInTraining, ...]:
    """The runs at the lowest step that can share a CUDA graph, or one run where none can.

    Runs that wait for those behind them meet at one step, and stay together from there on.
    """
    first = min(active, key=lambda run: run.step)
    if not _graph_safe(first, images):
        return (first,)
    return tuple(run for run in active if run.step == first.step and _graph_safe(run, images))


def _graph_safe(run: RunInTraining, images: torch.Tensor) -> bool:
    """Whether a step of a run can be captured in a CUDA graph: all that it reads is on the GPU."""
    return run.method.graph_safe and images.device.type == run.device.type == "cuda"


def _advance(
    members: tuple[RunInTraining, ...],
    due: int,
    graphs: _Graphs,
    streams: list[torch.cuda.Stream],
    images: torch.Tensor,
) -> None:
    """Train runs that are at the same step up to a later one."""
    if not _graph_safe(members[0], images):
        (alone,) = members
        if alone.threads and alone.threads != torch.get_num_threads():
            use_threads(alone.threads)
        while alone.step < due:
            alone.advance(images)
    else:
        if members not in graphs:
            for others in [others for others in graphs if not set(others).isdisjoint(members)]:
                del graphs[others]
            graphs[members] = GraphedRuns(members, images, streams)
        while members[0].step < due:
            graphs[members].advance()
    # The device may still be computing; reading a number waits for it.
    members[-1].loss.item()
    for run in members:
        run.side_by_side = max(run.side_by_side, len(members))
