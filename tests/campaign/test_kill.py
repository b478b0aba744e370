"""Runs that are stopped in the middle by signals, and runs that are asked for twice at once."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.store.folders import Store, read_history
from benchmarks.faults import own_cores, start
from tests.support.results import results_in

# A checkpoint at 500 and a bit.
STEPS = 768
ARGUMENTS = [
    *("--table", "4", "--profile", "smoke", "--only", "*-l2-*", "--device", "cpu"),
    *("--set", "latent_dim=8", "--set", "batch_size=2", "--set", "train_images=128"),
    *("--set", f"epochs={STEPS // 64}", "--set", "test_images=32", "--set", "fid_samples=40"),
    *("--set", "width=0.25"),
]
TIMEOUT = 180


def _start(
    runs_dir: Path,
    *arguments: str,
    cores: int = 1,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    tables = runs_dir.parent / f"tables-{time.monotonic_ns()}"
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(tables)]
    chosen = set(own_cores()[:cores])
    return start([*(arguments or ARGUMENTS), *folders], chosen, environment)


def _finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def _steps(runs_dir: Path) -> int:
    return max((Store(runs_dir).steps_done(p.name) for p in runs_dir.glob("mnist*")), default=0)


def _reached(runs_dir: Path, step: int) -> bool:
    return _steps(runs_dir) >= step


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _result(runs_dir: Path) -> tuple[Any, ...]:
    """Everything that a finished run leaves, apart from times and what machine it was."""
    (folder,) = runs_dir.glob("mnist*")
    (result,) = results_in(runs_dir)
    contents: dict[str, bytes] = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            contents |= {f"{path.name} {name}": arrays[name].tobytes() for name in arrays}
    history = [(row["step"], row["loss"]) for row in read_history(folder)]
    return result.run_id, result.trained.weights_sha256, result.metrics, contents, history


def test_a_run_that_is_stopped_twice_ends_with_the_same_bits(runs_dir: Path) -> None:
    choose = random.Random(20201)  # noqa: S311
    # Before there is a checkpoint, and behind it.
    process = _start(runs_dir)
    _wait_for(partial(_reached, runs_dir, choose.randrange(50, 500)), process)
    process.kill()
    process.wait()
    assert not list(runs_dir.glob("*/training.json"))
    process = _start(runs_dir)
    _wait_for(partial(_reached, runs_dir, choose.randrange(500, 700)), process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = _finish(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "goes on from the checkpoints" in err
    process = _start(runs_dir, *ARGUMENTS, "--plan")
    assert "1 started" in _finish(process)[0]
    undisturbed = runs_dir.with_name("undisturbed")
    for folder in (runs_dir, undisturbed):
        process = _start(folder)
        _, err = _finish(process)
        assert process.returncode == 0, err
    assert _result(runs_dir) == _result(undisturbed)


PAIR = [*ARGUMENTS[:5], "*-l[24]-*", *ARGUMENTS[6:], "--jobs", "2"]


def _children(process: subprocess.Popen[str]) -> list[Path]:
    """What the system tells of a process's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{process.pid}\n" in status.read_text():
                found.append(status.parent)
    return found


def _workers(process: subprocess.Popen[str]) -> list[int]:
    """Children that have PyTorch loaded, so those that train."""
    found = []
    for child in _children(process):
        with contextlib.suppress(OSError):
            if "libtorch" in (child / "maps").read_text():
                found.append(int(child.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_ctrl_c_while_workers_start_shows_no_traceback(runs_dir: Path, seconds: float) -> None:
    """A terminal sends it to every process."""
    process = _start(runs_dir, *PAIR, cores=2)
    # Two workers, and the process that looks after what they share.
    _wait_for(lambda: len(_children(process)) >= 3, process)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, err = _finish(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_a_killed_worker_is_replaced(runs_dir: Path) -> None:
    process = _start(runs_dir, *PAIR, cores=2)
    _wait_for(lambda: any(runs_dir.glob("mnist*/checkpoint.pt")), process)
    os.kill(_workers(process)[0], signal.SIGKILL)
    _, err = _finish(process)
    assert process.returncode == 0, err
    assert "a worker was killed; going on with 2 runs" in err
    assert len(results_in(runs_dir)) == 2


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("number", "step"),
    [
        (signal.SIGKILL, 1),
        pytest.param(signal.SIGTERM, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 0, marks=pytest.mark.slow),
    ],
)
def test_workers_do_not_outlive_their_runner(
    runs_dir: Path, number: signal.Signals, step: int
) -> None:
    # Slim containers have no pgrep and no ps.
    environment = os.environ | {"PATH": str(runs_dir)}
    process = _start(runs_dir, *PAIR, cores=2, environment=environment)
    # In training, or before there is anything to do.
    _wait_for(lambda: _steps(runs_dir) >= step and len(_workers(process)) == 2, process)
    workers = _workers(process)
    process.send_signal(number)
    _finish(process)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not results_in(runs_dir)


def test_a_run_that_is_terminated_has_not_failed(runs_dir: Path) -> None:
    process = _start(runs_dir)
    _wait_for(lambda: _reached(runs_dir, 1), process)
    process.terminate()
    _, err = _finish(process)
    assert process.returncode == 143, err
    assert "terminated; the same command goes on from the checkpoints" in err
    assert "Traceback" not in err
    assert not list(runs_dir.glob("*/failure.json"))


@pytest.mark.slow
def test_two_processes_train_each_run_once(runs_dir: Path) -> None:
    arguments = [*PAIR, "--jobs", "1", "--set", "epochs=3"]
    pair = [_start(runs_dir, *arguments) for _ in range(2)]
    outputs = [_finish(process) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    # Each tells of both runs, whichever of the two has trained them.
    for _, err in outputs:
        lines = [line for line in err.splitlines() if line.startswith("[")]
        assert len({line.split()[1] for line in lines}) == 2
    assert outputs[0][0] == outputs[1][0]
    for folder in runs_dir.glob("mnist*"):
        steps = [row["step"] for row in read_history(folder)]
        assert steps == sorted(set(steps))
        json.loads((folder / "training.json").read_text())
