"""The workers of a Dask cluster as a backend. Needs ``distributed``."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.campaign.backends import Backend, Task
from bench.campaign.job import WorkerSettings
from bench.errors import BenchError
from bench.files import write_text

if TYPE_CHECKING:
    import distributed

# Seconds to wait for a scheduler and its first worker.
CONNECTING = 30
# Seconds that a cluster may be without workers: a job's time is up, and the next one is queued.
PATIENCE = 300.0
_POLL = 0.2
_GONE = (
    "the Dask scheduler is gone; start one and its workers again, and give the same command with "
    "its address"
)


@contextlib.contextmanager
def cluster(settings: WorkerSettings, scheduler: str) -> Iterator[Backend]:
    """Workers of a running Dask cluster that share the runs folder with this process.

    The scheduler is told by its address, ``tcp://host:8786``.

    Raises:
        BenchError: Dask is not installed, the scheduler or its workers do not answer or go away,
            a worker does not see the runs folder, or a run took several workers with it.
    """
    try:
        import distributed
    except ImportError as error:
        raise BenchError(
            "--scheduler needs a package that is missing: pip install distributed"
        ) from error
    # Workers run in other folders.
    settings = replace(
        settings,
        runs_dir=settings.runs_dir.resolve(),
        data_dir=settings.data_dir.resolve(),
        fid_weights=settings.fid_weights and settings.fid_weights.resolve(),
        plugin=tuple(str(Path(name).resolve()) for name in settings.plugin),
    )
    # The client logs a traceback of what it loses; the command prints one line instead.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(distributed.Client(scheduler, timeout=CONNECTING))
            client.wait_for_workers(1, timeout=CONNECTING)
        except (OSError, ValueError, TimeoutError) as error:
            raise BenchError(
                f"--scheduler {scheduler}: no Dask scheduler with workers answers there within "
                f"{CONNECTING} s ({error})"
            ) from error
        _require_shared(client, settings.runs_dir)

        def results(task: Task, items: Iterable[Any], handed: WorkerSettings) -> Iterator[Any]:
            # Tasks have effects: equal ones are not one.
            futures = [client.submit(task, item, handed, pure=False) for item in items]
            yield from _as_they_come(client, futures)

        yield Backend(results, settings, len(client.ncores()))


def _require_shared(client: distributed.Client, runs_dir: Path) -> None:
    """Refuse workers whose runs folder is another disk's."""
    token = runs_dir / ".cache" / f"shared-{uuid.uuid4().hex}"
    write_text(token, "")
    try:
        seen = client.run(os.path.exists, str(token))
    finally:
        token.unlink()
    if without := [worker for worker, sees in seen.items() if not sees]:
        raise BenchError(
            f"the worker {without[0]} does not see {runs_dir}; give --runs-dir a folder on a disk "
            "that all machines share"
        )


def _as_they_come(
    client: distributed.Client, futures: list[distributed.Future[Any]]
) -> Iterator[Any]:
    """Results of tasks; raises where the cluster itself has given one up."""
    import distributed
    from distributed.comm.core import CommClosedError

    pending, seen = set(futures), time.monotonic()
    try:
        while pending:
            time.sleep(_POLL)
            done = {future for future in pending if future.done()}
            pending -= done
            for future in done:
                yield future.result()
            if client.status != "running":
                raise BenchError(_GONE)
            if done or client.ncores():
                seen = time.monotonic()
            elif time.monotonic() - seen > PATIENCE:
                raise BenchError(
                    f"the Dask cluster has had no worker for {PATIENCE:.0f} s; start some and give "
                    "the same command again"
                )
    except distributed.KilledWorker as error:
        raise BenchError(
            "a run took several workers of the cluster with it, most likely for want of memory "
            f"({error})"
        ) from error
    # Any other OSError is the task's own.
    except (distributed.CancelledError, CommClosedError) as error:
        raise BenchError(_GONE) from error
    finally:
        with contextlib.suppress(Exception):
            client.cancel(list(pending))
