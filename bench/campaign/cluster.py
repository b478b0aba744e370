"""joblib's Dask backend, told of runs that the cluster has given up. Needs ``distributed``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from joblib._dask import DaskDistributedBackend

from bench.errors import BenchError

# Seconds that a cluster may be without workers: a job's time is up, and the next one is queued.
PATIENCE = 300.0
_POLL = 1.0
_GONE = (
    "the Dask scheduler is gone; start one and its workers again, and give the same command with "
    "its address"
)


@dataclass(frozen=True)
class _GivenUp:
    """In place of a task's result: why there will be none."""

    error: Exception


class ClusterBackend(DaskDistributedBackend):  # type: ignore[misc]
    """Raises where joblib's own (1.5, 1.6) waits for ever.

    That calls no one back when the cluster itself gives a task up: because every worker that took
    it died (``KilledWorker``), or because the scheduler is gone (``CancelledError``).
    Nor does it say anything when every worker has left.
    """

    def start_call(self) -> None:
        """Listen for what becomes of tasks, and for workers."""
        super().start_call()
        self.client.loop.add_callback(self._watch)

    async def _collect(self) -> None:
        while self._continue:
            async for future, result in self.waiting_futures:
                self._results.pop(future)
                callback = self._callbacks.pop(future)
                if future.status == "error":
                    callback(_GivenUp(result[1]))
                elif future.status == "finished":
                    callback(result)
                else:
                    callback(_GivenUp(BenchError(_GONE)))
            await asyncio.sleep(0.01)

    async def _watch(self) -> None:
        """Give tasks up when there has been no worker for too long."""
        clock = asyncio.get_running_loop().time
        seen = clock()
        while self._continue:
            await asyncio.sleep(_POLL)
            if self.client.status == "running" and await self.client.scheduler.ncores():
                seen = clock()
            if clock() - seen > PATIENCE:
                error = BenchError(
                    f"the Dask cluster has had no worker for {PATIENCE:.0f} s; start some "
                    "and give the same command again"
                )
                for future in list(self._callbacks):
                    self._results.pop(future)
                    self._callbacks.pop(future)(_GivenUp(error))
                return

    def retrieve_result_callback(self, out: object) -> object:
        """Result of a task, or raise why there is none."""
        if isinstance(out, _GivenUp):
            raise out.error
        return super().retrieve_result_callback(out)
