"""Event files, read back by TensorBoard itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.cli import main
from bench.store.events import Events
from bench.store.folders import Store, read_history
from tests.support.results import results_in
from tests.support.tiny import TINY, TINY_ARGUMENTS


def _read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def _scalars(folder: Path, tag: str) -> dict[int, float]:
    scalars = _read(folder).Scalars(tag)
    steps = [event.step for event in scalars]
    assert len(steps) == len(set(steps))
    return {event.step: event.value for event in scalars}


def _rows(count: int) -> list[dict[str, float]]:
    return [{"step": 100 * i, "epoch": i, "loss": 1 / i, "seconds": i} for i in range(1, count + 1)]


def test_a_run_is_written_as_it_trains_and_a_cached_one_afterwards(
    runs_dir: Path, tmp_path: Path
) -> None:
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--only", "*-l2-*", "--jobs", "1"]
    assert main([*command, "--tensorboard"]) == 0
    store = Store(runs_dir)
    (result,) = results_in(runs_dir)
    folder = store.folder(result.run_id)

    def check() -> Path:
        history = read_history(store.history(result.run_id))
        losses = {int(row["step"]): row["loss"] for row in history}
        assert _scalars(folder, "training/loss") == pytest.approx(losses)
        (record,) = result.measurements
        for name, value in record.numbers():
            measured = {result.spec.steps: value}
            seen = "classifier/" if name.startswith(("fid", "neighbours")) else ""
            assert _scalars(folder, f"measured/{seen}{name}") == pytest.approx(measured)
        spectrum = dict(enumerate(result.metrics["spectrum"], start=1))
        assert _scalars(folder, "spectrum") == pytest.approx(spectrum)
        assert _read(folder).Images("samples")
        (path,) = folder.glob("events.out.tfevents.*")
        return path

    live = check()
    assert main([*command, "--collect", "--tensorboard"]) == 0
    assert check() == live
    live.unlink()
    assert main([*command, "--collect", "--tensorboard"]) == 0
    check()


def test_a_resumed_run_has_each_line_once(tmp_path: Path) -> None:
    stopped = Events(tmp_path, TINY, [])
    for row in _rows(4):
        stopped.line(row)
    stopped.close()
    # The last two lines were behind the checkpoint, and are written again.
    resumed = Events(tmp_path, TINY, _rows(2))
    for row in _rows(5)[2:]:
        resumed.line(row)
    resumed.close()
    losses = {int(row["step"]): row["loss"] for row in _rows(5)}
    assert _scalars(tmp_path, "training/loss") == pytest.approx(losses)
    rates = _scalars(tmp_path, "training/images_per_second")
    assert rates == dict.fromkeys(losses, 100 * TINY.batch_size)


def test_without_tensorboard_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    folders = ["--runs-dir", str(tmp_path / "runs"), "--tables-dir", str(tmp_path / "tables")]
    assert main(["--table", "4", *TINY_ARGUMENTS, *folders, "--tensorboard"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install tensorboard" in line
    assert not any(tmp_path.iterdir())
