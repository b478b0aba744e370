import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import device
from bench.campaign import commands
from bench.campaign.backends import Backend
from bench.campaign.job import WorkerSettings
from bench.cli import main
from bench.experiments.profiles import PROFILES
from bench.experiments.tables import TABLES
from bench.store.folders import Store
from tests.support.results import result, write

OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def test_a_driver_that_is_too_old_is_found_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "gpu_count", lambda: 1)
    monkeypatch.setattr(device, "why_unusable", lambda device: OLD)
    command = ["--table", "4", "--plan", "--runs-dir", str(tmp_path)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err.strip() == f"on the CPU, since the GPU cannot be used: {OLD}"
    assert "profile quick" in captured.out
    assert main([*command, "--device", "cuda"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert OLD in line
    monkeypatch.setattr(device, "why_unusable", lambda device: "")
    assert main(command) == 0
    assert "profile paper" in capsys.readouterr().out


def test_workers_share_the_cores_and_know_when_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[WorkerSettings] = []

    def never(plan: object, backend: Backend, progress: object) -> bool:
        asked.append(backend.settings)
        return False

    monkeypatch.setattr("bench.campaign.runner.run", never)
    monkeypatch.setattr(commands, "core_count", lambda: 8)
    command = ["--table", "4", "--profile", "smoke", "--jobs", "2", "--device", "cpu"]
    command += [a for n in ("runs", "tables") for a in (f"--{n}-dir", str(tmp_path / n))]
    before = time.time()
    assert main([*command, "--stop-after", "3"]) == 3
    assert main([*command, "--force"]) == 3
    stopping, forcing = asked
    assert (stopping.threads, forcing.threads) == (4, 4)
    assert 180 <= stopping.stop_at - before < 240
    assert (stopping.anew_since, forcing.stop_at) == (0, math.inf)
    assert forcing.anew_since >= before


def test_a_plan_adds_up_what_finished_runs_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four runs by two jobs, at 640 images/s and half a second of measuring."""
    training, measurement = PROFILES["smoke"].apply(TABLES["table4"].cells[0].training)
    measurement = replace(measurement, extractor="classifier")
    write(Store(tmp_path), result(replace(training, seed=7), measurement))
    command = ["--table", "4", "--profile", "smoke", "--jobs", "2", "--device", "cpu"]
    assert main([*command, "--plan", "--runs-dir", str(tmp_path)]) == 0
    images = training.steps * training.batch_size
    lines = capsys.readouterr().out.splitlines()
    assert sum(f"training about {images / 640:.0f} s, measuring" in line for line in lines) == 4
    assert f"training about {4 * images / 640 / 2:.0f} s, measuring about 1 s" in lines[-1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(99, "about 99 s"), (101, "about 2 min"), (5999, "about 100 min"), (7200, "about 2.0 h")],
)
def test_a_duration_is_in_the_nearest_unit(seconds: float, words: str) -> None:
    assert commands._duration(seconds) == words
