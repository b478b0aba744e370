"""Dispatch what is missing through joblib, and see it through: busy runs, workers that die."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib

from bench.backends import Backend
from bench.data import register_dataset
from bench.errors import BenchError
from bench.job import Outcome, Settings
from bench.planning import PlannedRun, groups
from bench.plugins import load_plugins
from bench.progress import Progress
from bench.spec import RunSpec
from bench.store import FailedRun, Store

# A worker that the system kills (for memory, most often) takes the pool with it. Runs resume from
# their checkpoints, so trying again is cheap; but a run may kill its worker every time.
ATTEMPTS = 3


def run(plan: Sequence[PlannedRun], backend: Backend, store: Store, progress: Progress) -> None:
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
    left = {planned.run_id: planned.spec for planned in plan}
    killed = 0
    while left:
        try:
            _run_all(left, backend, store, progress)
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


def _run_all(left: dict[str, RunSpec], backend: Backend, store: Store, progress: Progress) -> None:
    """Execute what is left, taking out what is finished."""
    needs = {(spec.dataset, spec.features): spec for spec in left.values()}
    for need in needs.values():
        # One by one: training an extractor takes two threads, and more than the cores are slow.
        for message in _dispatch(_prepare, [need], backend, backend.settings):
            progress.line(message)
    for wait in (False, True):
        if wait and left:
            progress.line(f"waiting for {len(left)} runs that another process is training")
        turn = replace(backend.settings, wait=wait)
        together = groups(list(left.values()), turn.device, turn.stack, backend.jobs)
        for outcomes in _dispatch(_execute, together, backend, turn):
            for outcome in outcomes:
                if outcome.record is not None or outcome.failure is not None:
                    _keep(outcome, left.pop(outcome.run_id), store)
                    progress.finished(outcome)


def _keep(outcome: Outcome, spec: RunSpec, store: Store) -> None:
    """Write what a worker has written to a disk of its own."""
    if outcome.record is not None and store.record(outcome.run_id) is None:
        store.adopt(outcome.record, outcome.files)
    elif outcome.failure is not None and store.failure(outcome.run_id) is None:
        store.write_failure(FailedRun(outcome.run_id, spec, outcome.failure))


def _dispatch(
    task: Callable[..., Any], work: Iterable[Any], backend: Backend, settings: Settings
) -> Iterator[Any]:
    """Results of ``task(item, settings)`` as they come."""
    with backend.configure():
        pool = joblib.Parallel(n_jobs=backend.jobs, batch_size=1, return_as="generator_unordered")
        yield from pool(joblib.delayed(task)(item, settings) for item in work)


# Dask's workers may be told to run several tasks in one process, whose random numbers and
# threads runs would then share.
_ALONE = threading.Lock()


@contextlib.contextmanager
def _task(settings: Settings) -> Iterator[None]:
    """Make ready for a task in a worker."""
    # What scikit-learn does in parallel would wait for the workers that wait for it.
    with _ALONE, joblib.parallel_config("sequential"):
        # What the user brought along has to be made known here too.
        load_plugins(settings.plugins)
        for found in settings.located:
            register_dataset(found, replace=True)
        yield


# These import PyTorch in the worker, which needs it, and not here.
def _prepare(spec: RunSpec, settings: Settings) -> str:
    from bench.execute import prepare

    with _task(settings):
        return prepare(spec, settings)


def _execute(group: Sequence[RunSpec], settings: Settings) -> list[Outcome]:
    from bench.execute import execute

    with _task(settings):
        return execute(group, settings)
