"""Runs on a Dask cluster: a real scheduler and two workers, separate processes on loopback."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.campaign import cluster as cluster_module
from bench.campaign.job import WorkerSettings
from bench.cli import main
from bench.store.folders import Store
from tests.support.processes import ROOT, last_line_of_failure
from tests.support.results import results_in
from tests.support.tiny import TINY_ARGUMENTS

distributed = pytest.importorskip("distributed", reason="needs the extra [dask]")
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

    def worker(self) -> subprocess.Popen[str]:
        """Start a worker that nobody starts again."""
        arguments = ["--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
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
    return ["--table", "4", *TINY_ARGUMENTS, *folders, "--scheduler", cluster.address, *more]


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
    while not any(store.steps_done(path.parent.name) for path in runs_dir.glob("*/progress.jsonl")):
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


def _refused(item: int, settings: WorkerSettings) -> None:
    raise PermissionError(13, "Permission denied", "weights.pt")


def test_a_cluster_gives_the_numbers_of_this_process(
    tmp_path: Path, runs_dir: Path, cluster: Cluster
) -> None:
    cluster.worker()
    (tmp_path / "mine.py").write_text("")
    # As it is written here, in another folder than the worker's.
    only = ["--only", "*-l2-*", "--plugin", os.path.relpath(tmp_path / "mine.py")]
    assert main(_arguments(runs_dir, cluster, *only)) == 0
    folders = ["--runs-dir", str(tmp_path / "other"), "--tables-dir", str(tmp_path / "tables")]
    assert main(["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", *only]) == 0
    (there,), (here,) = (results_in(path) for path in (runs_dir, tmp_path / "other"))
    # A worker computes with one thread, this process with as many as there are cores.
    assert there.metrics["test_mse"] == pytest.approx(here.metrics["test_mse"], rel=1e-4)
    assert there.metrics["spectrum"] == pytest.approx(here.metrics["spectrum"], rel=1e-3)
    # A failure is one run's, on a cluster too.
    failing = ["--only", "*-l4-*", "--set", "lr=1e30"]
    assert main(_arguments(runs_dir, cluster, *failing)) == 4
    (failed,) = [each.failure for each in Store(runs_dir).read().values() if each.failure]
    assert "NonFiniteLossError" in failed.reason
    # What a disk refuses a worker does not mean that the scheduler is gone.
    settings = WorkerSettings(runs_dir=runs_dir)
    connected = cluster_module.cluster(settings, cluster.address)
    with connected as backend, pytest.raises(PermissionError):
        list(backend.results(_refused, [0], settings))


def test_workers_with_a_disk_of_their_own_are_refused_before_anything_is_trained(
    runs_dir: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A worker on another disk does not find what is written here."""
    cluster.worker()
    real = distributed.Client.run

    def elsewhere(client: object, function: object, path: str) -> object:
        return real(client, function, f"/another/disk{path}")

    monkeypatch.setattr(distributed.Client, "run", elsewhere)
    assert main(_arguments(runs_dir, cluster)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"does not see {runs_dir}" in line
    assert not list(runs_dir.glob("mnist*"))


DEADLY = """
from dataclasses import replace

from bench.experiments.columns import MNIST_AE
from bench.experiments.tables import register_cell
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
    cluster.worker()
    program = (
        "import sys, bench.campaign.cluster, bench.cli\n"
        "bench.campaign.cluster.PATIENCE = 2.0\n"
        "sys.exit(bench.cli.main(sys.argv[1:]))"
    )
    return last_line_of_failure(
        [sys.executable, "-c", program, *_arguments(runs_dir, cluster, *deadly)], seconds=SECONDS
    )


@pytest.mark.slow
def test_a_run_that_kills_its_workers_is_one_line(tmp_path: Path, runs_dir: Path) -> None:
    once = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        line = _last_line_of_a_deadly_run(tmp_path, runs_dir, once)
    finally:
        once.stop()
    assert "a run took several workers of the cluster with it" in line


@pytest.mark.slow
def test_a_cluster_that_stays_without_workers_is_one_line(
    tmp_path: Path, runs_dir: Path, cluster: Cluster
) -> None:
    line = _last_line_of_a_deadly_run(tmp_path, runs_dir, cluster)
    assert "has had no worker for 2 s" in line


def test_no_scheduler_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECTING", 1)
    folders = ["--runs-dir", str(tmp_path / "runs"), "--tables-dir", str(tmp_path / "tables")]
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--scheduler", "tcp://127.0.0.1:9"]
    assert main(command) == 1
    assert "no Dask scheduler" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(command) == 1
    assert "pip install distributed" in capsys.readouterr().err.splitlines()[-1]
