from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from bench.data import dataset
from bench.errors import BenchError
from bench.files import atomic, lock, write_bytes
from bench.planning import plan_runs
from bench.spec import PROTOCOL
from bench.store import FailedRun, Failure, Record, State, Store, read_history
from bench.tensors import digest, load_tensors, save_tensors
from tests.tiny import TINY

FINGERPRINT = dataset(TINY.dataset).fingerprint
RUN_ID = TINY.run_id(FINGERPRINT)
RECORD = Record(
    run_id=RUN_ID,
    spec=TINY,
    data=replace(dataset(TINY.dataset), folder=""),
    metrics={
        "rank": 3,
        "test_mse": 0.01,
        "fid": {"gmm10": 1 / 3},
        "overlap": {"accuracy": 0.6, "mixing": 0.4, "points": 120},
    },
    extractor={"name": "classifier", "dimensions": 128, "checksum": "00"},
    timing={"train_seconds": 1.5, "evaluate_seconds": 0.5, "images_per_second": 640.0},
    provenance={"commit": "unknown", "device": "cpu"},
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_a_record_comes_back_as_it_was(store: Store) -> None:
    assert store.state(RUN_ID) is State.TO_DO
    assert store.record(RUN_ID) is None
    store.write_record(RECORD)
    assert store.record(RUN_ID) == RECORD
    assert list(store.records()) == [RECORD]
    assert store.state(RUN_ID) is State.DONE


def _truncate(text: str) -> str:
    return text[:-40]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "truncated or not a record"),
        (lambda text: text.replace("0.01", "0.02"), "altered since"),
        (lambda text: text.replace('"schema": 3', '"schema": 4'), "schema 4"),
        (lambda text: "[]", "not a record"),
    ],
)
def test_a_damaged_record_is_named_and_never_used(
    store: Store, damage: Callable[[str], str], message: str
) -> None:
    store.write_record(RECORD)
    path = store.folder(RUN_ID) / "record.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(BenchError, match=message) as caught:
        store.record(RUN_ID)
    assert str(path) in str(caught.value)
    assert store.state(RUN_ID) is State.TO_DO
    assert list(store.records()) == []


def test_the_record_of_another_run_is_never_used(store: Store) -> None:
    store.write_record(RECORD)
    other = replace(TINY, seed=1).run_id(FINGERPRINT)
    store.folder(RUN_ID).rename(store.folder(other))
    with pytest.raises(BenchError, match="another run"):
        store.record(other)


def test_a_record_under_an_older_protocol_is_never_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_record(RECORD)
    monkeypatch.setitem(PROTOCOL, "fp32", 999)
    with pytest.raises(BenchError, match="protocol"):
        store.record(RUN_ID)


def test_a_failure_is_shown_until_a_record_replaces_it(store: Store) -> None:
    failure = Failure("loss became nan", "Traceback ...")
    store.write_failure(FailedRun(RUN_ID, TINY, failure))
    assert store.state(RUN_ID) is State.FAILED
    assert store.failure(RUN_ID) == failure
    assert list(store.records()) == []
    store.write_record(RECORD)
    assert store.state(RUN_ID) is State.DONE
    assert store.failure(RUN_ID) is None


def test_plan_knows_each_state_and_each_run_once(store: Store) -> None:
    failed, started, fresh = (replace(TINY, seed=seed) for seed in (1, 2, 3))
    store.write_record(RECORD)
    store.write_failure(FailedRun(failed.run_id(FINGERPRINT), failed, Failure("why", "")))
    write_bytes(store.checkpoint(started.run_id(FINGERPRINT)), b"")
    write_bytes(store.history(started.run_id(FINGERPRINT)), b'{"step": 7}\n')
    plan = plan_runs([TINY, failed, started, fresh, TINY], store, "cpu")
    assert [p.state for p in plan] == [State.DONE, State.FAILED, State.STARTED, State.TO_DO]
    assert (plan[1].reason, plan[2].steps_done) == ("why", 7)
    assert plan[0].seconds == 0 < plan[2].seconds < plan[3].seconds
    # 12 steps of 16 images at the 640 images/s that the finished run measured.
    assert plan[3].seconds >= 12 * 16 / 640


def test_records_of_data_that_are_unknown_by_now_do_not_disturb_a_plan(store: Store) -> None:
    spec = replace(TINY, dataset="holiday-pictures")
    store.write_record(replace(RECORD, run_id=spec.run_id(FINGERPRINT), spec=spec))
    assert [p.state for p in plan_runs([TINY], store, "cpu")] == [State.TO_DO]


def test_history_ends_where_it_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_history(path) == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in read_history(path)] == [1, 2]


def _write_and_fail(path: Path, content: bytes) -> None:
    with atomic(path) as file:
        file.write(content)
        raise RuntimeError


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with pytest.raises(RuntimeError):
        _write_and_fail(path, b"half")
    assert list(path.parent.iterdir()) == []
    write_bytes(path, b"first")
    with pytest.raises(RuntimeError):
        _write_and_fail(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write"):
        write_bytes(tmp_path / "file" / "below", b"")
    with pytest.raises(BenchError, match="cannot write"), lock(tmp_path / "file" / "lock"):
        pass


def _hold_until_killed(path: str, pipe: Connection) -> None:
    with lock(Path(path)):
        pipe.send("held")
        pipe.recv()


def test_a_lock_is_exclusive_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "lock"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold_until_killed, args=(str(path), theirs))
    holder.start()
    assert ours.recv() == "held"
    with lock(path, wait=False) as held:
        assert not held
    holder.kill()
    holder.join()
    with lock(path, wait=False) as held:
        assert held


def test_tensors_come_back_or_count_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "tensors.pt"
    value = {"a": torch.arange(6.0).reshape(2, 3), "n": 3}
    assert load_tensors(path) is None
    save_tensors(path, value)
    loaded = load_tensors(path)
    assert loaded is not None
    assert torch.equal(loaded["a"], value["a"])  # type: ignore[arg-type]
    content = path.read_bytes()
    for damaged in (content[:-1], content[:50], b"", content[:-9] + b"x" + content[-8:]):
        path.write_bytes(damaged)
        assert load_tensors(path) is None


def test_digest_sees_names_and_values() -> None:
    a, b = torch.zeros(3), torch.ones(3)
    digests = [digest(s) for s in ({"a": a}, {"b": a}, {"a": b}, {"a": a, "b": b})]
    assert len(set(digests)) == 4
    assert digest({"a": a, "b": b}) == digest({"b": b, "a": a})


def test_records_are_json_that_people_can_read(store: Store) -> None:
    store.write_record(RECORD)
    store.write_spec(RUN_ID, TINY)
    content = json.loads((store.folder(RUN_ID) / "record.json").read_text())
    assert content["content"]["spec"] == json.loads(
        (store.folder(RUN_ID) / "spec.json").read_text()
    )
