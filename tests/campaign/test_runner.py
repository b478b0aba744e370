"""Seeing a plan through: busy runs, workers that are killed."""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.campaign import runner
from bench.campaign.backends import Backend, Task
from bench.campaign.job import Job, WorkerSettings
from bench.campaign.plan import PlannedRun, State
from bench.campaign.progress import ProgressBar
from bench.campaign.runner import ATTEMPTS, run
from bench.data import dataset, register_dataset
from bench.errors import BenchError
from bench.report.display import Display
from bench.store.folders import RunFolder, Store
from tests.support.tiny import TINY_MEASUREMENT, tiny

PLAN = [
    PlannedRun(Job(f"run-{seed}", tiny("ae", seed=seed), (TINY_MEASUREMENT,)), State.TO_TRAIN)
    for seed in range(3)
]


class KilledError(Exception):
    """What the pool raises when a worker was killed."""


class Pool:
    """Ends runs one by one, unless it is told that a worker is killed or that a run is busy."""

    def __init__(self, kills: Mapping[str, int] | None = None, busy: tuple[str, ...] = ()) -> None:
        self.kills, self.busy = dict(kills or {}), busy
        self.ended: list[str] = []
        self.stops = 0

    def results(
        self, task: Task, items: Iterable[Any], settings: WorkerSettings
    ) -> Iterator[str | list[RunFolder]]:
        for item in items:
            if task is runner._fetch:
                yield "fetched"
                continue
            names = [job.run_id for job in item]
            if self.kills.get(names[0]):
                self.kills[names[0]] -= 1
                raise KilledError
            # A run that another process is training is waited for in the second turn.
            free = [name for name in names if settings.wait or name not in self.busy]
            self.ended += free
            yield [RunFolder(name, Path(name)) for name in free]

    def backend(self) -> Backend:
        return Backend(self.results, WorkerSettings(device="cpu"), 2, (KilledError,), self._stop)

    def _stop(self) -> None:
        self.stops += 1


def _said(pool: Pool, tmp_path: Path) -> list[str]:
    stream = io.StringIO()
    with ProgressBar(PLAN, Store(tmp_path), Display(), stream) as bar:
        run(PLAN, pool.backend(), bar)
    return stream.getvalue().splitlines()


def test_every_run_is_ended_once_and_the_workers_are_stopped(tmp_path: Path) -> None:
    pool = Pool()
    said = _said(pool, tmp_path)
    assert sorted(pool.ended) == ["run-0", "run-1", "run-2"]
    assert pool.stops == 1
    assert said[0].startswith("looking at real images of mnist-sample through classifier, once")
    assert said[1] == "fetched"
    assert [line[:5] for line in said[2:]] == ["[1/3]", "[2/3]", "[3/3]"]


def test_what_is_left_goes_on_when_a_worker_is_killed(tmp_path: Path) -> None:
    pool = Pool({"run-1": ATTEMPTS - 1})
    said = _said(pool, tmp_path)
    assert sorted(pool.ended) == ["run-0", "run-1", "run-2"]
    assert pool.stops == ATTEMPTS
    assert said.count("a worker was killed; going on with 2 runs") == 2


def test_a_plugin_that_was_edited_meanwhile_ends_the_command(tmp_path: Path) -> None:
    """What is registered in the worker would be filed under what was planned."""
    settings = WorkerSettings(runs_dir=tmp_path, device="cpu")
    with pytest.raises(BenchError, match="a --plugin was edited since the command began"):
        runner._execute([PLAN[0].job], settings)
    assert not list(tmp_path.glob("*"))


def test_workers_that_are_killed_again_and_again_end_the_command(tmp_path: Path) -> None:
    pool = Pool({"run-1": ATTEMPTS})
    with pytest.raises(BenchError, match=r"killed 3 times.* 2 runs left; try --jobs 1"):
        _said(pool, tmp_path)
    assert pool.ended == ["run-0"]
    assert pool.stops == ATTEMPTS


def test_workers_that_are_killed_now_and_then_end_no_command(tmp_path: Path) -> None:
    """A long campaign may lose a worker a day."""
    pool = Pool({f"run-{i}": ATTEMPTS - 1 for i in range(3)})
    _said(pool, tmp_path)
    assert pool.ended == ["run-0", "run-1", "run-2"]


def test_a_run_that_another_process_trains_is_waited_for_last(tmp_path: Path) -> None:
    pool = Pool(busy=("run-0",))
    said = _said(pool, tmp_path)
    assert pool.ended == ["run-1", "run-2", "run-0"]
    assert "waiting for 1 run of another process" in said


def test_data_of_a_plugin_that_was_edited_meanwhile_are_refused() -> None:
    found = replace(dataset("shape"), name="mine", source="before")
    register_dataset(replace(found, source="after"))
    with pytest.raises(BenchError, match="mine: a --plugin was edited since the command began"):
        runner._register(WorkerSettings(located=(found,)))
