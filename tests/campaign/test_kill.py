"""Runs that are stopped in the middle by signals, and runs that are asked for twice at once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.store.folders import Store, read_history
from tests.support.results import results_in

ROOT = Path(__file__).parent.parent.parent
# A checkpoint at 500 and a bit.
STEPS = 768
ARGUMENTS = [
    *("--table", "4", "--profile", "smoke", "--only", "*-l2-*", "--device", "cpu"),
    *("--set", "latent_dim=8", "--set", "batch_size=2", "--set", "train_images=128"),
    *("--set", f"epochs={STEPS // 64}", "--set", "test_images=32", "--set", "fid_samples=40"),
    *("--set", "width=0.25"),
]
TIMEOUT = 180


def _prepare(cores: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    # Shells have their background jobs ignore it, and children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _start(
    runs_dir: Path,
    *arguments: str,
    cores: int = 1,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    tables = runs_dir.parent / f"tables-{time.monotonic_ns()}"
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(tables)]
    return subprocess.Popen(
        [sys.executable, "run_all.py", *(arguments or ARGUMENTS), *folders],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Threads that outnumber the cores spin, and cost more than they give.
        preexec_fn=partial(_prepare, cores),  # noqa: PLW1509 - no threads here
        env=environment,
    )


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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    runs_dir = tmp_path_factory.mktemp("undisturbed") / "runs"
    process = _start(runs_dir)
    _, err = _finish(process)
    assert process.returncode == 0, err
    return _result(runs_dir)


def _kill(runs_dir: Path, step: int) -> None:
    process = _start(runs_dir)
    _wait_for(partial(_reached, runs_dir, step), process)
    process.kill()
    process.wait()
    assert not list(runs_dir.glob("*/training.json"))


def _interrupt(runs_dir: Path, step: int) -> None:
    process = _start(runs_dir)
    _wait_for(partial(_reached, runs_dir, step), process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = _finish(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "goes on from the checkpoints" in err
    process = _start(runs_dir, *ARGUMENTS, "--plan")
    assert "1 started" in _finish(process)[0]


@pytest.mark.parametrize("interrupt", [_interrupt, pytest.param(_kill, marks=pytest.mark.slow)])
def test_a_run_that_is_stopped_twice_ends_with_the_same_bits(
    runs_dir: Path, undisturbed: tuple[Any, ...], interrupt: Callable[..., None]
) -> None:
    choose = random.Random(20201)  # noqa: S311
    # Before there is a checkpoint, and behind it.
    _kill(runs_dir, choose.randrange(50, 500))
    interrupt(runs_dir, choose.randrange(500, 700))
    process = _start(runs_dir)
    _, err = _finish(process)
    assert process.returncode == 0, err
    assert _result(runs_dir) == undisturbed


PAIR = [*ARGUMENTS[:5], "*-l[24]-*", *ARGUMENTS[6:], "--jobs", "2"]


def _workers(process: subprocess.Popen[str]) -> list[int]:
    """Children that have PyTorch loaded, so those that train."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{process.pid}\n" in status.read_text():
                pid = int(status.parent.name)
                if "libtorch" in (status.parent / "maps").read_text():
                    found.append(pid)
        except OSError:
            continue
    return found


def _children(process: subprocess.Popen[str]) -> int:
    count = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            count += f"\nPPid:\t{process.pid}\n" in status.read_text()
    return count


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0])
def test_ctrl_c_while_workers_start_shows_no_traceback(runs_dir: Path, seconds: float) -> None:
    """A terminal sends it to every process."""
    process = _start(runs_dir, *PAIR, cores=2)
    # Two workers, and the process that looks after what they share.
    _wait_for(lambda: _children(process) >= 3, process)
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
    assert process.returncode in (-number, 128 + number)
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not results_in(runs_dir)


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
