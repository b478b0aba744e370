"""Where joblib sends runs: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bench.campaign.job import WorkerSettings
from bench.errors import BenchError
from bench.machine import has_workers

# How long to wait for a scheduler, and for its first worker.
_SECONDS = 30


@dataclass(frozen=True)
class Backend:
    """A way to run tasks.

    Attributes:
        configure: makes joblib use it for what is called within.
        settings: what its workers are handed.
        jobs: tasks at a time.
        killed: what is raised where workers were killed and the pool with them.
        stop: ends its workers, at once.
    """

    configure: Callable[[], AbstractContextManager[object]]
    settings: WorkerSettings
    jobs: int
    killed: tuple[type[Exception], ...]
    stop: Callable[[], None]


def loky(settings: WorkerSettings, jobs: int) -> Backend:
    """Processes of this machine; with one job, this process itself.

    Raises:
        BenchError: no process can be started.
    """
    if jobs == 1:
        return Backend(
            lambda: joblib.parallel_config("sequential"), settings, jobs, (), lambda: None
        )
    if not has_workers():
        raise BenchError(
            f"{jobs} worker processes cannot be started, most likely since /dev/shm cannot be "
            "written; use --jobs 1, which needs none"
        )

    @contextlib.contextmanager
    def configure() -> Iterator[None]:
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
            yield

    def stop() -> None:
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)

    return Backend(configure, settings, jobs, (TerminatedWorkerError,), stop)


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
def dask(settings: WorkerSettings, jobs: int, scheduler: str | None) -> Iterator[Backend]:
    """Workers of a Dask cluster: of the one at an address, or of one that is started here.

    What they measure comes back with each run, so that they need not share a disk with this
    process; where they do, they go on from each other's checkpoints.

    Args:
        settings: where and how; paths are made absolute, since workers may run elsewhere.
        jobs: workers of a cluster that is started here.
        scheduler: address of a running one (``tcp://host:8786``), or None.

    Raises:
        BenchError: Dask is not installed, the scheduler or its workers do not answer, or a run
            took several workers with it.
    """
    try:
        import distributed
    except ImportError as error:
        raise BenchError(
            "--backend dask needs a package that is missing: pip install distributed"
        ) from error
    from bench.campaign.cluster import ClusterBackend

    settings = replace(
        settings,
        runs_dir=settings.runs_dir.resolve(),
        data_dir=settings.data_dir.resolve(),
        fid_weights=settings.fid_weights and settings.fid_weights.resolve(),
        return_files=True,
    )
    with contextlib.ExitStack() as stack:
        # The client logs a traceback of what it loses; the command prints one line instead.
        logger = logging.getLogger("distributed.client")
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)
        if scheduler is None:
            # Runs in one process would share PyTorch's random numbers and threads, and take turns.
            # But of one thread in all joblib makes no use, and runs everything here.
            cluster = distributed.LocalCluster(
                n_workers=jobs, threads_per_worker=2 if jobs == 1 else 1, dashboard_address=None
            )
            scheduler = stack.enter_context(cluster).scheduler_address
        try:
            client = stack.enter_context(distributed.Client(scheduler, timeout=_SECONDS))
            client.wait_for_workers(1, timeout=_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise BenchError(
                f"--scheduler {scheduler}: no Dask scheduler with workers answers there within "
                f"{_SECONDS} s ({error})"
            ) from error
        if sum(client.ncores().values()) == 1:
            # Others may be on their way.
            with contextlib.suppress(TimeoutError):
                client.wait_for_workers(2, timeout=_SECONDS)
        jobs = sum(client.ncores().values())
        if jobs == 1:
            raise BenchError(
                f"--scheduler {scheduler}: joblib uses no cluster of one thread; start another "
                "worker, or this one with --nthreads 2"
            )
        try:
            # Dask has tried a killed run on other workers before it gives up; leaving ends it all.
            yield Backend(
                lambda: joblib.parallel_config(ClusterBackend(client=client)),
                settings,
                jobs,
                (),
                lambda: None,
            )
        except distributed.KilledWorker as error:
            raise BenchError(
                f"--backend dask: a run took several workers with it, most likely for want of "
                f"memory ({error})"
            ) from error
