"""--status and --gc."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.files import atomic, lock, write_bytes
from bench.store.folders import Store
from bench.store.housekeeping import collect_garbage
from bench.store.records import FailedRun
from tests.support.results import result, results_in, write
from tests.support.tiny import TINY

RESULT = result()
RUN_ID = RESULT.run_id


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run that is done, one that failed, one that was stopped, one whose record is damaged."""
    store = Store(tmp_path / "runs")
    write(store, RESULT)
    store.write_failure(FailedRun("failed-00000000", TINY, "out of memory", ""))
    for run_id in (RUN_ID, "failed-00000000", "stopped-00000000"):
        write_bytes(store.checkpoint(run_id), bytes(2_000_000))
    write_bytes(store.history("stopped-00000000"), b'{"step": 1700}\n')
    write_bytes(store.folder("damaged-00000000") / "training.json", b"{")
    write_bytes(store.cache / "classifier.pt", bytes(500_000))
    return store


def _lines(store: Store, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    outputs = store.root.parent
    folders = [a for n in ("tables", "figures") for a in (f"--{n}-dir", str(outputs / n))]
    assert main([*arguments, "--runs-dir", str(store.root), *folders]) == 0
    return capsys.readouterr().out.splitlines()


def test_status_tells_states_and_sizes(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    damaged, failed, done, stopped, total = _lines(store, "--status", capsys=capsys)
    assert re.fullmatch(rf"{RUN_ID} +measured +2\.0 MB +without its weights", done)
    assert re.fullmatch(r"failed-00000000 +failed +2\.0 MB +out of memory", failed)
    assert re.fullmatch(r"stopped-00000000 +started +2\.0 MB +1,700 steps", stopped)
    assert re.match(r"damaged-00000000 +damaged +0\.0 MB +.*truncated", damaged)
    assert total.startswith("4 runs in ")
    assert "1 damaged, 1 failed, 1 measured, 1 started; 6.0 MB, of which weights 0.0 MB" in total
    assert total.endswith("shared cache 0.5 MB")
    with lock(store.lock_path("stopped-00000000")):
        assert "running" in _lines(store, "--status", capsys=capsys)[3]


def test_status_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = _lines(Store(tmp_path), "--status", capsys=capsys)
    assert line.startswith("0 runs in ")
    assert main(["--status", "--runs-dir", str(tmp_path / "none")]) == 1
    assert "none: no such folder" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_gc_removes_what_nothing_needs_and_lists_it_first(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    # A run that ended before its first checkpoint was whole.
    store.write_spec("begun-00000000", TINY)
    left = [
        store.folder("begun-00000000") / ".checkpoint.pt.a1b2c3d4.irmae-tmp",
        store.folder(RUN_ID) / ".weights.pt.a1b2c3d4.irmae-tmp",
        store.cache / ".reference-mnist.pt.abcdefgh.irmae-tmp",
    ]
    for path in left:
        path.write_bytes(b"half")
    kept = {path for path in store.root.parent.rglob("*") if path.is_file()}
    kept -= {*left, store.checkpoint("failed-00000000")}
    in_work = store.cache / "in-work.pt"
    with atomic(in_work) as file, lock(store.lock_path("running-00000000")):
        write_bytes(store.checkpoint("running-00000000"), b"")
        store.write_failure(FailedRun("running-00000000", TINY, "", ""))
        lines = _lines(store, "--gc", capsys=capsys)
        file.write(b"whole")
    assert in_work.read_bytes() == b"whole"
    assert store.checkpoint("running-00000000").exists()
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in left)
    assert {line.split("  ")[-1].strip() for line in lines[:-1]} == {
        f"{store.checkpoint('failed-00000000')} (its run failed)",
        *(f"{path} (left by a process that is gone)" for path in left),
    }
    assert lines[-1].startswith("removed 4 files, 2.0 MB; kept 3 checkpoints and the weights of 0")
    # What was running has failed since.
    assert _lines(store, "--gc", capsys=capsys)[-1].startswith("removed 1 file, ")
    assert _lines(store, "--gc", capsys=capsys)[-1].startswith("removed 0 files")


def test_gc_leaves_what_is_not_the_suites(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The runs folder holds another project's."""
    foreign = [
        store.root / "exp1" / "weights.pt",
        store.root / "exp1" / ".model.pt.a1b2c3d4.irmae-tmp",
        store.root / ".table4.tex.a1b2c3d4.irmae-tmp",
    ]
    for path in foreign:
        write_bytes(path, b"theirs")
    lines = _lines(store, "--gc", "--weights-of", "*", capsys=capsys)
    assert "exp1" not in "".join(lines)
    assert lines[-1].endswith("the weights of 0 runs (--weights-of PATTERN removes both)")
    assert "weights 0.0 MB" in _lines(store, "--status", capsys=capsys)[-1]
    assert [path for path in foreign if not path.exists()] == []


def test_a_checkpoint_from_which_a_damaged_record_can_be_made_again_stays(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    size = RESULT.measurements[0].spec
    store.write_failure(FailedRun("damaged-00000000", TINY, "out of memory", "", size))
    write_bytes(store.checkpoint("damaged-00000000"), b"whole")
    _lines(store, "--gc", capsys=capsys)
    assert store.checkpoint("damaged-00000000").exists()


def test_weights_are_listed_and_go_only_when_they_are_named(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id in (RUN_ID, "failed-00000000"):
        write_bytes(store.weights(run_id), bytes(3_000_000))
    lines = _lines(store, "--gc", capsys=capsys)
    for run_id in (RUN_ID, "failed-00000000"):
        assert f"   3.0 MB  {store.weights(run_id)} (kept)" in lines
    lines = _lines(store, "--gc", "--weights-of", "mnist-*", capsys=capsys)
    assert f"   3.0 MB  {store.weights(RUN_ID)} (asked for by --weights-of)" in lines
    assert not store.weights(RUN_ID).exists()
    assert store.weights("failed-00000000").exists()
    (left,) = results_in(store.root)
    assert left == RESULT


def test_what_a_run_needs_that_began_while_files_were_listed_stays(store: Store) -> None:
    lines = collect_garbage(store.read(), store, "*")
    next(lines)
    with lock(store.lock_path("failed-00000000")):
        list(lines)
    assert store.checkpoint("failed-00000000").exists()
    assert not store.checkpoint(RUN_ID).exists()


def test_what_a_run_left_that_ended_while_files_were_listed_stays(store: Store) -> None:
    run_id = "failed-00000000"
    lines = collect_garbage(store.read(), store, None)
    assert str(store.checkpoint(run_id)) in next(lines)
    store.write_trained(replace(RESULT.trained, run_id=run_id))
    assert list(lines)[-1].startswith("removed 0 files, 0.0 MB; kept 3 checkpoints")
    assert store.checkpoint(run_id).exists()
