"""Where tasks run: in this process, in processes of this machine; a cluster is in cluster.py."""

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bench.campaign.job import WorkerSettings
from bench.errors import BenchError
from bench.machine import has_workers

Task = Callable[[Any, WorkerSettings], Any]


@dataclass(frozen=True)
class Backend:
    """A way to run tasks.

    Attributes:
        results: yields ``task(item, settings)`` for each of some items, as they come.
        settings: what its workers are handed.
        jobs: tasks at a time.
        killed: the error where workers were killed and the pool with them.
        stop: ends its workers, at once.
    """

    results: Callable[[Task, Iterable[Any], WorkerSettings], Iterator[Any]]
    settings: WorkerSettings
    jobs: int
    killed: tuple[type[Exception], ...] = ()
    stop: Callable[[], None] = lambda: None


def loky(settings: WorkerSettings, jobs: int) -> Backend:
    """Processes of this machine; with one job, this process itself.

    Raises:
        BenchError: no process can be started.
    """
    if jobs == 1:
        return Backend(
            lambda task, items, handed: (task(item, handed) for item in items), settings, jobs
        )
    if not has_workers():
        raise BenchError(
            f"{jobs} worker processes cannot be started, most likely since /dev/shm cannot be "
            "written; use --jobs 1, which needs none"
        )

    def results(task: Task, items: Iterable[Any], handed: WorkerSettings) -> Iterator[Any]:
        with (
            warnings.catch_warnings(),
            joblib.parallel_config(
                "loky",
                inner_max_num_threads=settings.threads,
                initializer=_end_with,
                initargs=(os.getpid(),),
            ),
        ):
            # A worker that grows by 300 MB, as another data set's images make it, is replaced
            # between two tasks: no run is lost, and there is nothing to do about it.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            pool = joblib.Parallel(jobs, batch_size=1, return_as="generator_unordered")
            with _interrupts_held():
                # Starts the processes.
                found = pool(joblib.delayed(task)(item, handed) for item in items)
            yield from found

    def stop() -> None:
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)

    return Backend(results, settings, jobs, (TerminatedWorkerError,), stop)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Have processes that are started within leave Ctrl-C to this one, which then stops them.

    They inherit that it is blocked. Those that were still importing showed a traceback each.
    """
    # Each lifts the block when it starts.
    resource_tracker.ensure_running()
    loky_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        # One that came meanwhile is delivered now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _end_with(parent: int) -> None:
    """Have this process end when its parent has ended, even if that was killed.

    Nobody would collect its results. The same command goes on from its checkpoints.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Make ready for a task in a worker, which runs no other beside it."""
    # Were scikit-learn to use the same pool, it would wait for workers that wait for it.
    with _ALONE, joblib.parallel_config("sequential"):
        yield


# A cluster's worker may run several tasks in one process, where runs would share random numbers.
_ALONE = threading.Lock()
