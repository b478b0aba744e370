"""What a run's folder keeps of how it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.data import dataset
from bench.store.folders import Store
from bench.store.identity import run_id
from bench.tensors import load_tensors, save_tensors
from bench.training import checkpoint
from tests.support.tiny import TINY

CPU = torch.device("cpu")
SPEC = replace(TINY, epochs=25)
RUN_ID = run_id(SPEC, dataset(SPEC.dataset).fingerprint)


def test_a_record_names_every_machine_that_a_run_was_trained_on(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def train(cpu: str, until: int) -> None:
        run = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": cpu})
        run.step = until
        checkpoint.keep(RUN_ID, run, store)

    train("one", 10)
    train("one", 20)
    train("two", 30)
    train("three", SPEC.steps)
    # All that is left is to write the record down.
    run = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": "four"})
    run.spectra, run.seconds = [np.ones(SPEC.latent_dim)], 1.0
    record = checkpoint.finish(RUN_ID, run, store, spectra_images=2)
    assert record.earlier == [{"cpu": "one", "from_step": 0}, {"cpu": "two", "from_step": 20}]
    assert record.provenance == {"cpu": "three", "from_step": 30, "side_by_side": 1}
    assert store.read_folder(RUN_ID).trained == record


@pytest.mark.parametrize("key", ["sittings", "other"])
def test_checkpoints_of_earlier_versions_are_read(tmp_path: Path, key: str) -> None:
    """They call the segments sittings, or have none."""
    store = Store(tmp_path)
    run = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": "one"})
    run.step = 10
    checkpoint.keep(RUN_ID, run, store)
    state: Any = load_tensors(store.checkpoint(RUN_ID))
    state[key] = state.pop("segments")
    save_tensors(store.checkpoint(RUN_ID), state)
    again = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": "two"})
    earlier = [{"cpu": "one", "from_step": 0}] if key == "sittings" else []
    assert again.segments == [*earlier, {"cpu": "two", "from_step": 10}]
