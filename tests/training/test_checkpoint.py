"""What a run's folder keeps of how it was trained."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.data import dataset
from bench.data.images import LoadedData
from bench.experiments.spec import TrainingSpec
from bench.store.folders import Store, read_history, read_spectra
from bench.store.identity import run_id
from bench.tensors import save_tensors
from bench.training import checkpoint, run_in_training
from bench.training.loop import train
from bench.training.run_in_training import RunInTraining
from tests.support.tiny import TINY, tiny

CPU = torch.device("cpu")
SPEC = replace(TINY, epochs=25)
RUN_ID = run_id(SPEC, dataset(SPEC.dataset).fingerprint)


def _on(cpu: str) -> dict[str, Any]:
    """Where a run is trained."""
    return {"cpu": cpu, "device": "cpu", "threads": 1}


def test_a_record_names_every_machine_that_a_run_was_trained_on(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def train(cpu: str, until: int, side_by_side: int = 1) -> None:
        run = checkpoint.resume(RUN_ID, SPEC, store, CPU, _on(cpu))
        run.step, run.side_by_side = until, max(run.side_by_side, side_by_side)
        checkpoint.keep(RUN_ID, run, store)

    train("one", 10, side_by_side=4)
    train("one", 20)
    train("two", 30)
    train("three", SPEC.steps)
    # All that is left is to write the record down.
    run = checkpoint.resume(RUN_ID, SPEC, store, CPU, _on("four"))
    run.spectra, run.seconds = [np.ones(SPEC.latent_dim)], 2.0
    checkpoint.finish(RUN_ID, run, store, spectra_images=2)
    record = store.read_folder(RUN_ID).trained
    assert record is not None
    assert record.earlier == [
        _on("one") | {"from_step": 0},
        _on("two") | {"from_step": 20},
    ]
    assert record.provenance == _on("three") | {"from_step": 30, "side_by_side": 4}
    assert record.timing["images_per_second"] == SPEC.epochs * SPEC.train_images / 2


def test_a_run_that_was_begun_on_a_gpu_takes_the_threads_of_the_cpu_that_it_goes_on_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_in_training, "core_count", lambda: 8)
    run = RunInTraining(SPEC, CPU)
    run.segments = [{"device": "a GPU", "threads": 16, "from_step": 0}]
    run.step = 10
    for threads in (2, 1):
        run.start_segment({"device": "cpu", "threads": threads})
        assert run.segments[-1] == {"device": "cpu", "threads": 2, "from_step": 10}


def test_a_checkpoint_of_an_earlier_version_is_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = checkpoint.resume(RUN_ID, SPEC, store, CPU, _on("one"))
    run.step = 10
    state = {name: value for name, value in run.state_dict().items() if name != "history"}
    save_tensors(store.checkpoint(RUN_ID), {"run_id": RUN_ID, **state})
    assert checkpoint.resume(RUN_ID, SPEC, store, CPU, _on("one")).step == 0


def _trained(spec: TrainingSpec, store: Store, data: LoadedData) -> str:
    """Train a run as a worker does; return its identity."""
    name = run_id(spec, dataset(spec.dataset).fingerprint)
    run = checkpoint.resume(name, spec, store, CPU, _on("one"))
    failures = train(
        [run],
        data.train.spread(spec.train_images).images,
        data.test.images[:32],
        log=lambda run: checkpoint.log(name, run, store),
        checkpoint=lambda run: checkpoint.keep(name, run, store),
        checkpoint_steps=100,
    )
    assert failures == {}
    checkpoint.finish(name, run, store, spectra_images=32)
    return name


@pytest.mark.parametrize("method", ["irmae-wd", "rae-sn", "rrae"])
def test_a_longer_run_goes_on_from_the_end_of_a_shorter_one_bit_for_bit(
    tmp_path: Path, sample: LoadedData, method: str
) -> None:
    """Another optimiser, buffers that move, and a fit; test_loop.py has every method."""
    spec = tiny(method)
    longer = replace(spec, epochs=5)
    straight, store = Store(tmp_path / "straight"), Store(tmp_path / "runs")
    name = _trained(longer, straight, sample)
    for earlier in (replace(spec, epochs=2), spec):
        _trained(earlier, store, sample)
    anew = checkpoint.resume(
        name,
        longer,
        store,
        CPU,
        _on("one"),
        since=time.time() + 9,
    )
    assert anew.step == 0
    begun = checkpoint.resume(name, longer, store, CPU, _on("one"))
    assert begun.step == spec.steps
    assert _trained(longer, store, sample) == name
    expected, found = (each.read_folder(name).trained for each in (straight, store))
    assert expected is not None
    assert found is not None
    assert found.weights_sha256 == expected.weights_sha256
    before, after = (read_spectra(each.folder(name)) for each in (straight, store))
    assert before is not None
    assert after is not None
    assert np.array_equal(before, after)
    # The shorter run's last line is one that the longer run does not have.
    lines = [
        [(row["step"], row["loss"]) for row in read_history(each.folder(name))]
        for each in (straight, store)
    ]
    assert lines[0] == lines[1]
    assert lines[0][-1][0] == longer.steps


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 2e-4}, {"epochs": 9}])
def test_a_run_does_not_go_on_from_what_is_not_its_beginning(
    tmp_path: Path, sample: LoadedData, change: dict[str, Any]
) -> None:
    store = Store(tmp_path)
    _trained(replace(tiny("ae"), **change), store, sample)
    longer = replace(tiny("ae"), epochs=5)
    name = run_id(longer, dataset(longer.dataset).fingerprint)
    assert store.shorter(name, longer) is None
    assert checkpoint.resume(name, longer, store, CPU, _on("one")).step == 0


def test_a_run_does_not_go_on_from_one_whose_checkpoint_is_gone(
    tmp_path: Path, sample: LoadedData
) -> None:
    store = Store(tmp_path)
    shorter = _trained(tiny("ae"), store, sample)
    store.checkpoint(shorter).unlink()
    longer = replace(tiny("ae"), epochs=5)
    name = run_id(longer, dataset(longer.dataset).fingerprint)
    assert checkpoint.resume(name, longer, store, CPU, _on("one")).step == 0


def test_a_run_that_is_trained_again_keeps_its_curve_until_then(
    tmp_path: Path, sample: LoadedData
) -> None:
    store = Store(tmp_path)
    name = _trained(TINY, store, sample)
    before = store.history(name).read_bytes()
    store.checkpoint(name).unlink()
    store.weights(name).unlink()
    checkpoint.resume(name, TINY, store, CPU, _on("one"))
    assert store.history(name).read_bytes() == before
    assert store.steps_done(name) == 0
    assert _trained(TINY, store, sample) == name
    assert store.steps_done(name) == TINY.steps
    assert not store.progress(name).exists()


def test_nothing_of_other_weights_stands_beside_an_earlier_record(
    tmp_path: Path, sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where training again leads to other weights, and is killed as it ends."""
    store = Store(tmp_path)
    name = _trained(TINY, store, sample)
    record = store.read_folder(name).trained
    assert record is not None
    store.write_trained(replace(record, weights_sha256="0" * 64))
    monkeypatch.setattr(checkpoint, "write_spectra", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _trained(TINY, store, sample)
    assert store.read_folder(name).trained is None
    monkeypatch.undo()
    assert _trained(TINY, store, sample) == name
    assert store.read_folder(name).trained is not None
