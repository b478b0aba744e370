"""What a run's folder keeps of how it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data import dataset
from bench.models.tensors import load_tensors, save_tensors
from bench.store.folders import Store
from bench.store.identity import run_id
from bench.training import checkpoint
from tests.support.tiny import TINY

CPU = torch.device("cpu")
SPEC = replace(TINY, epochs=25)
RUN_ID = run_id(SPEC, dataset(SPEC.dataset).fingerprint)


def test_a_record_names_every_machine_that_a_run_was_trained_on(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def sit(cpu: str, until: int) -> None:
        trainee = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": cpu})
        trainee.step = until
        checkpoint.keep(RUN_ID, trainee, store)

    sit("one", 10)
    sit("one", 20)
    sit("two", 30)
    sit("three", SPEC.steps)
    # All that is left is to write the record down.
    trainee = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": "four"})
    trainee.spectra, trainee.seconds = [np.ones(SPEC.latent_dim)], 1.0
    record = checkpoint.finish(RUN_ID, trainee, store, spectra_images=2)
    assert record.earlier == [{"cpu": "one", "from_step": 0}, {"cpu": "two", "from_step": 20}]
    assert record.provenance == {"cpu": "three", "from_step": 30, "side_by_side": 1}
    assert store.read_folder(RUN_ID).trained == record


def test_a_checkpoint_that_names_no_machine_leaves_the_steps_before_unnamed(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    trainee = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": "one"})
    trainee.step = 10
    checkpoint.keep(RUN_ID, trainee, store)
    state: Any = load_tensors(store.checkpoint(RUN_ID))
    del state["sittings"]
    save_tensors(store.checkpoint(RUN_ID), state)
    again = checkpoint.resume(RUN_ID, SPEC, store, CPU, {"cpu": "two"})
    assert again.sittings == [{"cpu": "two", "from_step": 10}]
