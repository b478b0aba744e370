"""Dispatch what is missing through joblib, and see it through: busy runs, workers that die."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bench.data import register_dataset
from bench.errors import BenchError
from bench.job import Outcome, Settings
from bench.planning import PlannedRun, groups
from bench.plugins import load_plugins
from bench.progress import Progress
from bench.spec import RunSpec

# A worker that the system kills (for memory, most often) takes the pool with it. Runs resume from
# their checkpoints, so trying again is cheap; but a run may kill its worker every time.
ATTEMPTS = 3


def run(plan: Sequence[PlannedRun], settings: Settings, jobs: int, progress: Progress) -> None:
    """Execute every run of a plan; what comes of it is in the store.

    Args:
        plan: the runs.
        settings: where and how; ``threads`` are those of one worker.
        jobs: worker processes; with one, runs are executed in this process.
        progress: told of preparations and of each finished run.

    Raises:
        BenchError: something that concerns every run is wrong, or workers keep being killed.
        KeyboardInterrupt: workers have been stopped; their checkpoints stay.
    """
    left = {planned.run_id: planned.spec for planned in plan}
    killed = 0
    while left:
        try:
            _run_all(left, settings, jobs, progress)
        except TerminatedWorkerError as error:
            killed += 1
            if killed == ATTEMPTS:
                raise BenchError(
                    f"workers were killed {killed} times, most likely for want of memory, with "
                    f"{len(left)} runs left; try --jobs {max(1, jobs // 2)}"
                ) from error
            progress.line(f"a worker was killed; going on with the {len(left)} runs that are left")
        finally:
            if jobs > 1:
                get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _run_all(left: dict[str, RunSpec], settings: Settings, jobs: int, progress: Progress) -> None:
    """Execute what is left, taking out what is finished."""
    if jobs > 1:
        settings = replace(settings, parent=os.getpid())
    needs = {(spec.dataset, spec.features): spec for spec in left.values()}
    for need in needs.values():
        # One by one: training an extractor takes two threads, and more than the cores are slow.
        for message in _dispatch(_prepare, [need], settings, jobs):
            progress.line(message)
    for wait in (False, True):
        if wait and left:
            progress.line(f"waiting for {len(left)} runs that another process is training")
        turn = replace(settings, wait=wait)
        for outcomes in _dispatch(_execute, groups(list(left.values())), turn, jobs):
            for outcome in outcomes:
                if outcome.record is not None or outcome.failure is not None:
                    del left[outcome.run_id]
                    progress.finished(outcome)


def _dispatch(
    task: Callable[..., Any], work: Iterable[Any], settings: Settings, jobs: int
) -> Iterator[Any]:
    """Results of ``task(item, settings)`` as they come."""
    with joblib.parallel_config("loky", inner_max_num_threads=settings.threads):
        pool = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        yield from pool(joblib.delayed(task)(item, settings) for item in work)


# These import PyTorch in the worker, which needs it, and not here.
def _prepare(spec: RunSpec, settings: Settings) -> str:
    from bench.execute import prepare

    _load(settings)
    return prepare(spec, settings)


def _execute(group: Sequence[RunSpec], settings: Settings) -> list[Outcome]:
    from bench.execute import execute

    _load(settings)
    return execute(group, settings)


def _load(settings: Settings) -> None:
    """Make known in this process what the user brought along."""
    load_plugins(settings.plugins)
    for found in settings.located:
        register_dataset(found, replace=True)
