"""Stopping and going on: everything that training leaves in a run's folder, and how it resumes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import torch

from bench.data import dataset
from bench.experiments.spec import TrainingSpec
from bench.files import append_line, set_aside, sync, write_bytes
from bench.models.tensors import digest, load_tensors, on_cpu, save_state, save_tensors
from bench.store.folders import Store, read_history
from bench.store.records import TrainingRecord
from bench.training.loop import HistoryLine
from bench.training.trainee import Trainee

# A checkpoint of the MNIST network is 25 MB: every 20 s or so on one core, every six on a GPU.
CHECKPOINT_STEPS = {"cpu": 500, "cuda": 5_000}


def resume(
    run_id: str,
    spec: TrainingSpec,
    store: Store,
    device: torch.device,
    provenance: Mapping[str, str | int],
) -> Trainee:
    """Build a run, and take it to where its checkpoint left it.

    Args:
        run_id: the run's identity.
        spec: what is trained.
        store: where its checkpoint is, if there is one.
        device: where it is trained.
        provenance: of the steps that are left, see :mod:`bench.store.provenance`.
    """
    trainee = Trainee(spec, device)
    state = load_tensors(store.checkpoint(run_id))
    if state is not None and state.get("run_id") != run_id:
        set_aside(store.checkpoint(run_id), "the checkpoint of another run")
    elif state is not None:
        trainee.load_state_dict(state)
    trainee.sit_down(provenance)
    store.write_spec(run_id, spec)
    # Lines behind the checkpoint will be written again.
    rows = [row for row in read_history(store.history(run_id)) if row["step"] <= trainee.step]
    write_bytes(store.history(run_id), "".join(json.dumps(row) + "\n" for row in rows).encode())
    return trainee


def log(run_id: str, line: HistoryLine, store: Store) -> None:
    """Add a line to a run's history."""
    append_line(store.history(run_id), json.dumps(asdict(line)))


def keep(run_id: str, trainee: Trainee, store: Store) -> None:
    """Write a checkpoint; the history that leads to it is on the disk before."""
    sync(store.history(run_id))
    save_tensors(store.checkpoint(run_id), {"run_id": run_id, **on_cpu(trainee.state_dict())})


def finish(run_id: str, trainee: Trainee, store: Store, *, spectra_images: int) -> TrainingRecord:
    """Write a trained run's weights, spectra and record; its checkpoint goes.

    Args:
        run_id: the run's identity.
        trainee: at the end of its spec.
        store: where it is kept.
        spectra_images: test images behind its spectra.
    """
    spec = trainee.spec
    state = on_cpu(trainee.model.state_dict())
    save_state(store.weights(run_id), state)
    store.write_spectra(run_id, np.stack(trainee.spectra))
    *earlier, last = trainee.sittings
    record = TrainingRecord(
        run_id=run_id,
        spec=spec,
        data=replace(dataset(spec.dataset), folder=""),
        weights_sha256=digest(state),
        spectra_images=spectra_images,
        timing={
            "seconds": round(trainee.seconds, 3),
            "images_per_second": round(spec.epochs * spec.train_images / trainee.seconds, 1),
            "finished": round(time.time()),
        },
        provenance=last | {"side_by_side": trainee.side_by_side},
        earlier=earlier,
    )
    store.write_trained(record)
    store.checkpoint(run_id).unlink(missing_ok=True)
    return record
