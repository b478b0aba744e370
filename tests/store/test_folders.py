import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data import dataset
from bench.files import set_aside, write_bytes
from bench.store import identity, records
from bench.store.folders import Store, read_history, read_spectra
from bench.store.identity import run_id
from tests.support.results import result, write
from tests.support.tiny import TINY

FINGERPRINT = dataset(TINY.dataset).fingerprint
RUN_ID = run_id(TINY, FINGERPRINT)
RESULT = result()


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
