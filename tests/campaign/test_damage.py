"""What is damaged is set aside and made anew; what cannot be written leaves the rest as it was."""

import ctypes
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.campaign import worker
from bench.cli import main
from bench.errors import BenchError
from bench.store.folders import Store
from tests.support.processes import last_line_of_failure
from tests.support.results import results_in
from tests.support.tiny import TINY_ARGUMENTS


def _command(runs_dir: Path, *more: str) -> list[str]:
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(runs_dir.parent / "tables")]
    return ["--table", "4", *TINY_ARGUMENTS, *folders, "--only", "*-l2-*", "--jobs", "1", *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with one finished run."""
    runs_dir = tmp_path_factory.mktemp("finished") / "runs"
    assert main(_command(runs_dir)) == 0
    return runs_dir


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Store:
    shutil.copytree(finished, tmp_path / "runs")
    return Store(tmp_path / "runs")


def _truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _newer(content: bytes) -> bytes:
    return content.replace(b'"schema": 4', b'"schema": 99').replace(
        b"irmae-tensors-1", b"irmae-tensors-9"
    )


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("mnist*/training.json", _truncate),
        ("mnist*/training.json", _flip),
        ("mnist*/measured-*.json", _truncate),
        ("mnist*/measured-*.json", _newer),
        ("mnist*/weights.pt", _flip),
        ("mnist*/weights.pt", lambda _: b""),
        ("mnist*/checkpoint.pt", _flip),
        ("mnist*/checkpoint.pt", _newer),
        (".cache/reference-*.pt", _truncate),
        (".cache/reference-*.pt", lambda _: b""),
    ],
)
def test_what_is_damaged_is_named_kept_and_made_anew(
    runs: Store,
    pattern: str,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (before,) = results_in(runs.root)
    (path,) = runs.root.glob(pattern)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    # What is asked for is made again, from the checkpoint where that is whole.
    if path.name == "checkpoint.pt":
        (path.parent / "training.json").unlink()
    elif path.suffix == ".pt":
        next(runs.root.glob("mnist*/measured-*.json")).unlink()
    assert main(_command(runs.root)) == 0
    (again,) = results_in(runs.root)
    assert again.measurements[0].metrics == before.measurements[0].metrics
    assert again.trained.weights_sha256 == before.trained.weights_sha256
    assert path.with_name(f"{path.name}.corrupt").read_bytes() == damaged
    (message,) = caplog.messages
    assert str(path) in message
    assert f"kept as {path.name}.corrupt" in message


def test_the_checkpoint_of_another_run_is_not_gone_on_from(
    runs: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (first,) = results_in(runs.root)
    other = [*_command(runs.root), "--set", "lr=3e-4"]
    assert main(other) == 0
    (their,) = [each for each in results_in(runs.root) if each.run_id != first.run_id]
    runs.checkpoint(first.run_id).replace(runs.checkpoint(their.run_id))
    (runs.folder(their.run_id) / "training.json").unlink()
    assert main(other) == 0
    again = {each.run_id: each for each in results_in(runs.root)}
    assert again[their.run_id].measurements[0].metrics == their.measurements[0].metrics
    assert "another run" in caplog.text


def test_a_damaged_record_beside_all_that_is_asked_for_is_named_and_left(
    runs: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = runs.root.glob("mnist*")
    for name in ("measured-00000000.json", "failure.json"):
        path = folder / name
        path.write_text("{")
        for more in ([], ["--collect"]):
            assert main([*_command(runs.root), *more]) == 0
            assert f"left out, {path}: truncated" in capsys.readouterr().err
        path.unlink()


def test_records_of_a_run_without_weights_outlive_its_damaged_training_record(
    runs: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a clone; once the run is trained again, others take their place."""
    (folder,) = runs.root.glob("mnist*")
    for name in ("weights.pt", "checkpoint.pt"):
        (folder / name).unlink()
    (folder / "training.json").write_text("{")
    kept = {path.name for path in folder.iterdir()} - {"training.json"}

    def missing(*_: object) -> None:
        raise BenchError("no MNIST in reach")

    monkeypatch.setattr(worker, "_load", missing)
    assert main(_command(runs.root)) == 1
    assert kept <= {path.name for path in folder.iterdir()}


def test_files_from_a_clock_ahead_are_kept_where_nothing_is_forced(runs: Store) -> None:
    (folder,) = runs.root.glob("mnist*")
    (measured,) = folder.glob("measured-*.json")
    measured.unlink()
    for path in folder.iterdir():
        os.utime(path, (time.time() + 86_400,) * 2)
    before = {path: path.read_bytes() for path in folder.glob("*.pt")}
    assert main(_command(runs.root)) == 0
    assert measured.exists()
    assert {path: path.read_bytes() for path in before} == before


def test_a_full_disk_is_one_line_and_earlier_runs_stay(runs: Store) -> None:
    before = {path: path.read_bytes() for path in runs.root.rglob("*") if path.is_file()}

    def no_file_above_20_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "run_all.py", *_command(runs.root, "--seeds", "2")]
    line = last_line_of_failure(command, no_file_above_20_kb)
    assert "cannot write" in line
    assert "File too large" in line
    after = {path: path.read_bytes() for path in before}
    assert after == before
    assert not list(runs.root.rglob(".*.irmae-tmp"))
    # With room again, the same command ends it.
    assert main(_command(runs.root, "--seeds", "2")) == 0
    assert len(results_in(runs.root)) == 2


def _without_overriding_permissions() -> None:
    """Have root obey permissions as others do: without CAP_DAC_OVERRIDE (and _READ_SEARCH)."""
    for capability in (1, 2) if sys.platform == "linux" else ():
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize(
    ("denied", "mode", "more", "message"),
    [
        ("runs", 0o555, ["--seeds", "2"], "cannot write"),
        ("tables", 0o555, ["--collect"], "cannot write"),
        ("runs/mnist*/training.json", 0o000, ["--collect"], "cannot read"),
        ("runs/mnist*/checkpoint.pt", 0o000, [], "cannot read"),
    ],
)
def test_a_lack_of_permission_is_one_line_and_earlier_runs_stay(
    runs: Store, denied: str, mode: int, more: list[str], message: str
) -> None:
    (runs.root.parent / "tables").mkdir()
    if denied.endswith("checkpoint.pt"):
        next(runs.root.glob("mnist*/training.json")).unlink()
    before = {path: path.read_bytes() for path in runs.root.rglob("*") if path.is_file()}
    (path,) = runs.root.parent.glob(denied)
    path.chmod(mode)
    try:
        command = [sys.executable, "run_all.py", *_command(runs.root, *more)]
        line = last_line_of_failure(command, _without_overriding_permissions)
    finally:
        path.chmod(0o755)
    assert message in line
    assert "Permission denied" in line
    assert {path: path.read_bytes() for path in before} == before
