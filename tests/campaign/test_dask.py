"""Runs on a Dask cluster: a real scheduler and two workers, separate processes on loopback."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import distributed
import pytest

from bench.cli import main
from bench.store.folders import Store
from tests.support.processes import ROOT, last_line_of_failure
from tests.support.results import results_in
from tests.support.tiny import TINY_ARGUMENTS

SECONDS = 120
QUIET = {"DASK_LOGGING__DISTRIBUTED": "error", "DASK_DISTRIBUTED__ADMIN__LOG_LENGTH": "0"}


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", **environment
        )
        assert self.scheduler.stderr is not None
        for line in self.scheduler.stderr:
            found = re.search(r"(tcp://127\.0\.0\.1:\d+)", line)
            if found:
                self.address = found[1]
                break
        else:
            raise AssertionError("the scheduler did not start")

    def _start(self, what: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, *arguments]
        process = subprocess.Popen(
            [*command, "--no-dashboard"],
            cwd=self.folder,
            stderr=subprocess.PIPE if what == "scheduler" else subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        )
        self.processes.append(process)
        return process

    def worker(self, threads: int = 1) -> subprocess.Popen[str]:
        """Start a worker that nobody starts again."""
        arguments = ["--nthreads", str(threads), "--no-nanny", "--host", "127.0.0.1"]
        return self._start("worker", self.address, *arguments, **QUIET)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "elsewhere").mkdir()
    started = Cluster(tmp_path / "elsewhere")
    yield started
    started.stop()


def _arguments(runs_dir: Path, cluster: Cluster, *more: str) -> list[str]:
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(runs_dir.parent / "tables")]
    dask = ["--backend", "dask", "--scheduler", cluster.address]
    return ["--table", "4", *TINY_ARGUMENTS, *folders, *dask, *more]


def _in_training(runs_dir: Path, cluster: Cluster) -> subprocess.Popen[str]:
    """A table that two workers are training."""
    slow = ["--set", "batch_size=2", "--set", "epochs=8", "--set", "width=0.25"]
    command = _arguments(runs_dir, cluster, *slow)
    process = subprocess.Popen(
        [sys.executable, "run_all.py", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    store, deadline = Store(runs_dir), time.monotonic() + SECONDS
    while not any(store.steps_done(path.parent.name) for path in runs_dir.glob("*/history.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_a_table_survives_a_worker_that_is_killed(runs_dir: Path, cluster: Cluster) -> None:
    workers = [cluster.worker(), cluster.worker()]
    process = _in_training(runs_dir, cluster)
    workers[0].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert len(results_in(runs_dir)) == 4
    assert sorted(line[:5] for line in err.splitlines() if line.startswith("[")) == [
        f"[{i}/4]" for i in range(1, 5)
    ]
    assert "Traceback" not in err
    assert "-- Depth" not in out


@pytest.mark.slow
def test_a_scheduler_that_dies_is_one_line(runs_dir: Path, cluster: Cluster) -> None:
    workers = [cluster.worker(), cluster.worker()]
    process = _in_training(runs_dir, cluster)
    cluster.scheduler.kill()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert "the Dask scheduler is gone; start one" in err.splitlines()[-1]
    # Another would find their runs locked.
    for worker in workers:
        worker.wait(timeout=SECONDS)


def test_records_come_back_from_workers_with_disks_of_their_own(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs folder's path is another folder for them: they see it in a chroot, in effect."""
    from bench.campaign import backends

    theirs, ours = tmp_path / "elsewhere" / "runs", tmp_path / "runs"
    cluster.worker(threads=2)
    original = dataclasses.replace

    def moved(settings: object, **change: object) -> object:
        return original(settings, **(change | {"runs_dir": theirs}))  # type: ignore[type-var]

    monkeypatch.setattr(backends, "replace", moved)
    assert main(_arguments(ours, cluster, "--only", "*-l2-*")) == 0
    (here,) = results_in(ours)
    (there,) = results_in(theirs)
    assert here == there
    folders = [store / here.run_id for store in (ours, theirs)]
    names = {path.name for path in folders[1].iterdir()}
    assert {"weights.pt", "spectra.npz", "history.jsonl"} < names
    assert names == {path.name for path in folders[0].iterdir()}
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    # A failure comes back as well.
    failing = ["--only", "*-l4-*", "--set", "lr=1e30"]
    assert main(_arguments(ours, cluster, *failing)) == 1
    (failed,) = [each.failure for each in Store(ours).read().values() if each.failure]
    assert "NonFiniteLossError" in failed.reason


@pytest.mark.slow
def test_a_local_cluster_gives_the_numbers_of_this_process(runs_dir: Path, tmp_path: Path) -> None:
    tables = ["--tables-dir", str(tmp_path / "tables")]
    command = ["--table", "4", *TINY_ARGUMENTS, *tables, "--only", "*-l2-*", "--jobs", "1"]
    assert main([*command, "--runs-dir", str(runs_dir), "--backend", "dask"]) == 0
    assert main([*command, "--runs-dir", str(tmp_path / "other")]) == 0
    (dask,), (here,) = (results_in(path) for path in (runs_dir, tmp_path / "other"))
    assert dask.metrics == here.metrics


DEADLY = """
from dataclasses import replace

from bench.experiments.tables import MNIST_AE, register_cell
from bench.models.methods import Method, register_method
from bench.experiments.spec import Cell


def loss(model, images, noise, spec):
    import os

    os.kill(os.getpid(), 9)


register_method(Method("deadly", "", loss))
register_cell("table4", Cell("deadly", replace(MNIST_AE, method="deadly")))
"""


def _last_line_of_a_deadly_run(tmp_path: Path, runs_dir: Path, cluster: Cluster) -> str:
    (tmp_path / "deadly.py").write_text(DEADLY)
    deadly = ["--plugin", str(tmp_path / "deadly.py"), "--only", "*-deadly-*"]
    cluster.worker(threads=2)
    program = (
        "import sys, bench.campaign.cluster, bench.cli\n"
        "bench.campaign.cluster.PATIENCE = 2.0\n"
        "sys.exit(bench.cli.main(sys.argv[1:]))"
    )
    return last_line_of_failure(
        [sys.executable, "-c", program, *_arguments(runs_dir, cluster, *deadly)], seconds=SECONDS
    )


def test_a_run_that_kills_its_workers_is_one_line(tmp_path: Path, runs_dir: Path) -> None:
    once = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        line = _last_line_of_a_deadly_run(tmp_path, runs_dir, once)
    finally:
        once.stop()
    assert "a run took several workers with it" in line


def test_a_cluster_that_stays_without_workers_is_one_line(
    tmp_path: Path, runs_dir: Path, cluster: Cluster
) -> None:
    line = _last_line_of_a_deadly_run(tmp_path, runs_dir, cluster)
    assert "has had no worker for 2 s" in line


def test_a_cluster_of_one_thread_is_one_line(
    runs_dir: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bench.campaign import backends

    cluster.worker()
    with distributed.Client(cluster.address) as client:
        client.wait_for_workers(1, timeout=SECONDS)
    monkeypatch.setattr(backends, "_SECONDS", 1)
    assert main(_arguments(runs_dir, cluster)) == 1
    assert "no cluster of one thread; start another" in capsys.readouterr().err.splitlines()[-1]


def test_no_scheduler_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.campaign import backends

    monkeypatch.setattr(backends, "_SECONDS", 1)
    folders = ["--runs-dir", str(tmp_path / "runs"), "--tables-dir", str(tmp_path / "tables")]
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--backend", "dask"]
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "no Dask scheduler" in capsys.readouterr().err.splitlines()[-1]
    assert main(["--table", "4", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "--backend dask" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(command) == 1
    assert "pip install distributed" in capsys.readouterr().err.splitlines()[-1]
