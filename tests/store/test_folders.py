import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.campaign.job import Job
from bench.campaign.plan import LACKS_WEIGHTS, Estimate, PlannedRun, State, plan_runs
from bench.data import dataset
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.files import set_aside, write_bytes
from bench.store import identity, records
from bench.store.folders import Store, read_history, read_spectra
from bench.store.identity import run_id
from bench.store.records import FailedRun
from tests.support.results import result, write
from tests.support.tiny import TINY, TINY_MEASUREMENT

FINGERPRINT = dataset(TINY.dataset).fingerprint
RUN_ID = run_id(TINY, FINGERPRINT)
RESULT = result()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_records_come_back_as_they_were(store: Store) -> None:
    assert store.read() == {}
    write(store, RESULT)
    (folder,) = store.read().values()
    assert (folder.run_id, folder.trained, folder.measured) == (
        RUN_ID,
        RESULT.trained,
        RESULT.measurements,
    )
    assert not folder.has_weights
    assert folder.damage == {}


def _truncate(text: str) -> str:
    return text[:-40]


@pytest.mark.parametrize(
    "name", ["training.json", f"measured-{RESULT.measurements[0].identity}.json"]
)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "truncated or not a record"),
        (lambda text: text.replace('"weights_sha256": "11"', '"weights_sha256": "22"'), "altered"),
        (lambda text: text.replace('"schema": 4', '"schema": 5'), "schema 5"),
        (lambda text: re.sub(r": \d+\.\d+", ": 1e400", text), "truncated or not a record"),
        (lambda text: "[]", "not a record"),
    ],
)
def test_a_damaged_record_is_named_and_never_used(
    store: Store, name: str, damage: Callable[[str], str], message: str
) -> None:
    write(store, RESULT)
    path = store.folder(RUN_ID) / name
    path.write_text(damage(path.read_text()))
    folder = store.read_folder(RUN_ID)
    ((found, why),) = folder.damage.items()
    assert found == path
    assert message in why
    assert folder.measured == ()
    assert (folder.trained is None) == (name == "training.json")
    set_aside(found, why)
    assert path.with_name(f"{name}.corrupt").exists()
    assert store.read_folder(RUN_ID).damage == {}


def test_the_record_of_another_run_is_never_used(store: Store) -> None:
    write(store, RESULT)
    other = run_id(replace(TINY, seed=1), FINGERPRINT)
    store.folder(RUN_ID).rename(store.folder(other))
    folder = store.read_folder(other)
    assert folder.trained is None
    assert "another run" in folder.complaint


def test_records_under_an_older_protocol_are_never_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, RESULT)
    monkeypatch.setattr(identity, "METRIC_VERSIONS", dict.fromkeys(identity.METRIC_VERSIONS, 999))
    monkeypatch.setattr(records, "METRIC_VERSIONS", identity.METRIC_VERSIONS)
    folder = store.read_folder(RUN_ID)
    assert folder.trained == RESULT.trained
    # Kept, and no damage: they only do not count.
    assert (folder.measured, folder.damage) == ((), {})
    monkeypatch.setitem(identity.TRAINING_PROTOCOL, "fp32", 999)
    assert store.read_folder(RUN_ID).trained is None


def test_measurements_of_other_weights_are_never_used(store: Store) -> None:
    """Trained again on another machine, a run of the same identity has other last digits."""
    write(store, RESULT)
    store.write_trained(replace(RESULT.trained, weights_sha256="22"))
    folder = store.read_folder(RUN_ID)
    assert folder.trained is not None
    assert (folder.measured, folder.damage) == ((), {})


def _plan(store: Store, *jobs: Job, insist: bool = False) -> list[PlannedRun]:
    runs = store.read()
    return plan_runs(jobs, runs, store, Estimate(runs.values(), "cpu"), insist=insist)


def _job(spec: TrainingSpec = TINY, measurement: MeasurementSpec = TINY_MEASUREMENT) -> Job:
    return Job(run_id(spec, FINGERPRINT), spec, (measurement,))


def test_a_failure_is_shown_until_a_record_replaces_it(store: Store) -> None:
    store.write_failure(FailedRun(RUN_ID, TINY, "loss became nan", "Traceback ..."))
    (planned,) = _plan(store, _job())
    assert (planned.state, planned.reason) == (State.FAILED, "loss became nan")
    write(store, RESULT)
    (planned,) = _plan(store, _job())
    assert planned.state is State.DONE
    assert store.read_folder(RUN_ID).failure is None


def test_a_failure_of_measuring_is_of_that_measurement_alone(store: Store) -> None:
    store.write_trained(RESULT.trained)
    write_bytes(store.weights(RUN_ID), b"")
    store.write_failure(FailedRun(RUN_ID, TINY, "no memory", "", TINY_MEASUREMENT))
    other = _job(measurement=replace(TINY_MEASUREMENT, fid_samples=50))
    assert [_plan(store, job)[0].state for job in (_job(), other)] == [State.FAILED, State.TRAINED]
    # What is to be trained again says nothing of measuring.
    (store.folder(RUN_ID) / "training.json").unlink()
    assert _plan(store, _job())[0].state is State.TO_TRAIN


def test_plan_knows_each_state(store: Store) -> None:
    failed, started, fresh, trained = (replace(TINY, seed=seed) for seed in (1, 2, 3, 4))
    write(store, RESULT)
    store.write_failure(FailedRun(_job(failed).run_id, failed, "why", ""))
    write_bytes(store.checkpoint(_job(started).run_id), b"")
    write_bytes(store.history(_job(started).run_id), b'{"step": 7}\n')
    store.write_trained(result(trained).trained)
    write_bytes(store.weights(_job(trained).run_id), b"")
    jobs = [_job(spec) for spec in (TINY, failed, started, fresh, trained)]
    plan = _plan(store, *jobs)
    assert [p.state for p in plan] == ["done", "failed", "started", "to train", State.TRAINED]
    assert (plan[1].reason, plan[2].steps_done) == ("why", 7)
    assert plan[0].training_seconds == 0 < plan[2].training_seconds < plan[3].training_seconds
    # 12 steps of 16 images at the 640 images/s of the finished runs, which were measured in 0.5 s.
    assert plan[3].training_seconds == pytest.approx(12 * 16 / 640)
    assert [p.measuring_seconds for p in plan] == [0, 0, 0.5, 0.5, 0.5]
    assert plan[4].training_seconds == 0


def test_estimates_are_of_runs_of_the_same_precision(store: Store) -> None:
    fast = result(replace(TINY, precision="bf16", seed=5))
    timing = fast.trained.timing | {"images_per_second": 1e6}
    write(store, RESULT, replace(fast, trained=replace(fast.trained, timing=timing)))
    both = _plan(store, _job(replace(TINY, seed=9)), _job(replace(TINY, precision="bf16", seed=9)))
    assert [p.training_seconds for p in both] == pytest.approx([192 / 640, 192 / 1e6])


def test_estimates_are_of_runs_that_were_trained_on_one_kind_of_device(store: Store) -> None:
    fast = result(replace(TINY, seed=5))
    both_kinds = replace(
        fast.trained,
        timing=fast.trained.timing | {"images_per_second": 1e6},
        earlier=[fast.trained.provenance | {"device": "a GPU", "from_step": 0}],
    )
    write(store, RESULT, replace(fast, trained=both_kinds))
    (planned,) = _plan(store, _job(replace(TINY, seed=9)))
    assert planned.training_seconds == pytest.approx(192 / 640)


def test_a_run_without_its_weights_is_measured_anew_by_training_it_again(store: Store) -> None:
    write(store, RESULT)
    other = _job(measurement=replace(TINY_MEASUREMENT, fid_samples=50))
    (planned,) = _plan(store, other)
    assert (planned.state, planned.reason) == (State.TO_TRAIN, LACKS_WEIGHTS)
    write_bytes(store.weights(RUN_ID), b"")
    (planned,) = _plan(store, other)
    assert planned.state is State.TRAINED


def test_a_measurement_by_other_weights_of_the_extractor_does_not_count(store: Store) -> None:
    (record,) = RESULT.measurements
    other = replace(record, extractor=record.extractor | {"checksum": "ab" * 32})
    write(store, replace(RESULT, measurements=(other,)))
    assert [p.state for p in _plan(store, _job())] == [State.TO_TRAIN]
    write(store, RESULT)
    assert [p.state for p in _plan(store, _job())] == [State.DONE]


def test_a_run_is_measured_through_every_extractor_that_is_asked_for(store: Store) -> None:
    """Where its weights are gone, what others have seen will do, unless one insists."""
    write(store, RESULT)
    both = tuple(replace(TINY_MEASUREMENT, extractor=name) for name in ("classifier", "imagenet"))
    job = replace(_job(), measurements=both)
    (planned,) = _plan(store, job)
    assert (planned.state, planned.unmeasured) == (State.DONE, ("imagenet",))
    (planned,) = _plan(store, job, insist=True)
    assert (planned.state, planned.reason) == (State.TO_TRAIN, LACKS_WEIGHTS)
    write_bytes(store.weights(RUN_ID), b"")
    (planned,) = _plan(store, job)
    assert planned.state is State.TRAINED
    write(store, result(extractors=["imagenet"]))
    (planned,) = _plan(store, job, insist=True)
    assert (planned.state, planned.unmeasured) == (State.DONE, ())


def test_a_metric_that_comes_later_leaves_measurements_valid(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured where the weights are at hand; one whose code changes no longer counts."""
    write(store, RESULT)
    monkeypatch.setitem(identity.METRIC_VERSIONS, "sharpness", 3)
    folder = store.read_folder(RUN_ID)
    assert folder.measured == RESULT.measurements
    assert folder.measured[0].lacks == ["sharpness"]
    for insist in (False, True):
        assert [p.state for p in _plan(store, _job(), insist=insist)] == [State.DONE]
    write_bytes(store.weights(RUN_ID), b"")
    assert [p.state for p in _plan(store, _job())] == [State.TRAINED]
    assert identity.other_versions() == {"sharpness": 3}
    later = replace(
        RESULT.measurements[0],
        metrics=RESULT.measurements[0].metrics | {"sharpness": 0.1},
        versions={"sharpness": 3},
    )
    store.write_measured(later)
    assert [p.state for p in _plan(store, _job())] == [State.DONE]
    monkeypatch.setitem(identity.METRIC_VERSIONS, "fid", 3)
    (record,) = store.read_folder(RUN_ID).measured
    assert record.lacks == ["fid"]
    assert "fid" not in record.current
    assert record.current["test_mse"] == RESULT.metrics["test_mse"]


def test_records_of_data_that_are_unknown_by_now_do_not_disturb_a_plan(store: Store) -> None:
    spec = replace(TINY, dataset="holiday-pictures")
    strange = replace(RESULT.trained, run_id=run_id(spec, FINGERPRINT), spec=spec)
    store.write_trained(strange)
    assert [p.state for p in _plan(store, _job())] == [State.TO_TRAIN]


def test_history_ends_where_it_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_history(tmp_path) == []
    rows = [{"step": step, "epoch": 1.0, "loss": 0.5} for step in (1, 2)]
    whole = "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_text(whole + '{"st')
    assert read_history(tmp_path) == rows
    for damaged in ('{"step": 3}', "[1]", "3", "null", '{"step": "3", "epoch": 1, "loss": 1}'):
        path.write_text(f"{whole}{damaged}\n")
        assert read_history(tmp_path) == rows


@pytest.mark.parametrize(
    ("content", "steps"),
    [("", 0), ('{"st', 0), ('{"step": 100}\n', 100), ('{"step": 100}\n{"step": 200}\n{"st', 200)],
)
def test_steps_done_are_of_the_last_whole_line(store: Store, content: str, steps: int) -> None:
    assert store.steps_done(RUN_ID) == 0
    write_bytes(store.progress(RUN_ID), content.encode())
    assert store.steps_done(RUN_ID) == steps


def test_records_are_json_that_people_can_read(store: Store) -> None:
    write(store, RESULT)
    store.write_spec(RUN_ID, TINY)
    content = json.loads((store.folder(RUN_ID) / "training.json").read_text())
    assert content["content"]["spec"] == json.loads(
        (store.folder(RUN_ID) / "spec.json").read_text()
    )


def test_other_folders_and_those_that_cannot_be_read_are_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(store, RESULT)
    locked = store.root / "locked-00000000"
    for folder in (store.root / "lost+found", locked):
        folder.mkdir()
    # Nothing is unreadable to a superuser.
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked)
    assert list(store.read()) == [RESULT.run_id]
    assert caplog.messages == [f"{locked}: cannot be read; passed over"]


def test_a_run_is_forgotten_as_a_whole_or_not_at_all(store: Store) -> None:
    write(store, RESULT)
    names = "spectra.npz", "measured-12345678.npz", "tsne-12345678.npz"
    written = [store.history(RUN_ID), store.checkpoint(RUN_ID), store.weights(RUN_ID)]
    written += [store.folder(RUN_ID) / name for name in names]
    aside = store.folder(RUN_ID) / "measured-12345678.json.corrupt"
    for path in (*written, aside):
        write_bytes(path, b"")
        os.utime(path, (1, 1))
    ended = (store.folder(RUN_ID) / "training.json").stat().st_mtime
    store.forget(RUN_ID, before=ended)
    assert all(path.exists() for path in written)
    assert store.read_folder(RUN_ID).measured
    store.forget(RUN_ID, before=ended + 1)
    # What was set aside as damaged is for whoever wants to look into it.
    assert list(store.folder(RUN_ID).iterdir()) == [aside]


def test_a_measurement_of_another_run_or_name_is_never_used(store: Store) -> None:
    other = result(replace(TINY, seed=1))
    write(store, RESULT, other)
    name = f"measured-{other.measurements[0].identity}.json"
    (store.folder(other.run_id) / name).replace(store.folder(RUN_ID) / name)
    (own,) = store.folder(RUN_ID).glob(f"measured-{RESULT.measurements[0].identity}.json")
    own.rename(own.with_name("measured-00000000.json"))
    folder = store.read_folder(RUN_ID)
    assert folder.measured == ()
    assert list(folder.damage.values()) == ["the measurement of another run"] * 2


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_with_a_bit_flipped_are_absent_or_what_they_were(
    tmp_path: Path, compressed: bool
) -> None:
    path = tmp_path / "spectra.npz"
    write = np.savez_compressed if compressed else np.savez
    spectra = np.random.default_rng(0).random((40, 24))
    write(path, spectra=spectra)
    content = path.read_bytes()
    for place in (*range(200), *range(200, len(content) - 200, 13), *range(-200, 0)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            found = read_spectra(tmp_path)
            assert found is None or np.array_equal(found, spectra)
