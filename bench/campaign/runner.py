"""Dispatch what is missing through joblib, and see it through: busy runs, workers that die."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib

from bench.campaign.backends import Backend
from bench.campaign.job import Job, Outcome, WorkerSettings
from bench.campaign.plan import PlannedRun, groups
from bench.campaign.progress import ProgressBar
from bench.data import register_dataset
from bench.errors import BenchError
from bench.experiments.plugins import load_plugins
from bench.store.folders import Store

# A worker that the system kills (for memory, most often) takes the pool with it. Runs resume from
# their checkpoints, so trying again is cheap; but a run may kill its worker every time.
ATTEMPTS = 3


def run(plan: Sequence[PlannedRun], backend: Backend, store: Store, progress: ProgressBar) -> None:
    """Execute every run of a plan; what comes of it is in the store.

    Args:
        plan: the runs.
        backend: where they are executed.
        store: where they are to be found afterwards.
        progress: told of preparations and of each finished run.

    Raises:
        BenchError: something that concerns every run is wrong, or workers keep being killed.
        KeyboardInterrupt: workers have been stopped; their checkpoints stay.
    """
    left = {planned.run_id: planned.job for planned in plan}
    killed = 0
    while left:
        try:
            for outcome in _run_all(left, backend, store, progress):
                progress.finished(outcome)
        except backend.killed as error:
            killed += 1
            if killed == ATTEMPTS:
                raise BenchError(
                    f"workers were killed {killed} times, most likely for want of memory, with "
                    f"{len(left)} runs left; try --jobs {max(1, backend.jobs // 2)}"
                ) from error
            progress.line(f"a worker was killed; going on with the {len(left)} runs that are left")
        finally:
            backend.stop()


def _run_all(
    left: dict[str, Job], backend: Backend, store: Store, progress: ProgressBar
) -> Iterator[Outcome]:
    """Execute what is left, taking out what is finished."""
    needs = {(job.training.dataset, job.measurements): job for job in left.values()}
    for need in needs.values():
        # One by one: each takes all cores.
        for message in _dispatch(_prepare, [need], backend, backend.settings):
            progress.line(message)
    for wait in (False, True):
        if wait and left:
            progress.line(f"waiting for {len(left)} runs that another process is training")
        turn = replace(backend.settings, wait=wait)
        together = groups(list(left.values()), turn.device, turn.side_by_side, backend.jobs)
        for outcomes in _dispatch(_execute, together, backend, turn):
            for outcome in outcomes:
                if outcome.ended:
                    del left[outcome.run_id]
                    if turn.return_files:
                        _adopt(outcome, store)
                    yield outcome


def _adopt(outcome: Outcome, store: Store) -> None:
    """Write what a worker has written to a disk of its own."""
    here = store.read_folder(outcome.run_id)
    if outcome.trained is not None and any(each not in here.measured for each in outcome.measured):
        store.adopt(outcome.trained, outcome.measured, outcome.files)
    if outcome.failure is not None and here.failure is None:
        store.write_failure(outcome.failure)


def _dispatch(
    task: Callable[..., Any], work: Iterable[Any], backend: Backend, settings: WorkerSettings
) -> Iterator[Any]:
    """Results of ``task(item, settings)`` as they come."""
    with backend.configure():
        pool = joblib.Parallel(n_jobs=backend.jobs, batch_size=1, return_as="generator_unordered")
        yield from pool(joblib.delayed(task)(item, settings) for item in work)


# Dask's workers may be told to run several tasks in one process, whose random numbers and
# threads runs would then share.
_ALONE = threading.Lock()


@contextlib.contextmanager
def _task(settings: WorkerSettings) -> Iterator[None]:
    """Make ready for a task in a worker."""
    # Were scikit-learn to use the same pool, it would wait for workers that wait for it.
    with _ALONE, joblib.parallel_config("sequential"):
        # The user's own methods and data are registered in every process that needs them.
        load_plugins(settings.plugin)
        for found in settings.located:
            register_dataset(found, replace=True)
        yield


# These import PyTorch in the worker, which needs it, and not here.
def _prepare(job: Job, settings: WorkerSettings) -> str:
    from bench.campaign.worker import prepare

    with _task(settings):
        return prepare(job, settings)


def _execute(group: Sequence[Job], settings: WorkerSettings) -> list[Outcome]:
    from bench.campaign.worker import execute

    with _task(settings):
        return execute(group, settings)
