"""Stopping and going on: everything that training leaves in a run's folder, and how it resumes."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.data import dataset
from bench.experiments.spec import TrainingSpec
from bench.files import append_line, set_aside, write_bytes
from bench.store.folders import Store, write_spectra
from bench.store.records import TrainingRecord
from bench.tensors import load_tensors, save_state, save_tensors, state_sha256
from bench.training.loop import LOG_STEPS
from bench.training.run_in_training import RunInTraining

# A checkpoint of the MNIST network is 25 MB. It is written about every 30 s by one CPU core, and
# about every six seconds by a GPU.
CHECKPOINT_STEPS = {"cpu": 500, "cuda": 5_000}


def resume(
    run_id: str,
    spec: TrainingSpec,
    store: Store,
    device: torch.device,
    provenance: Mapping[str, str | int],
    *,
    since: float = 0.0,
) -> RunInTraining:
    """Build a run, and take it to the step of its checkpoint if there is one.

    Where there is none, it goes on from the end of the same run with fewer epochs, unless that is
    of before ``since``, in seconds since 1970. The steps that are left get this provenance, see
    :mod:`bench.store.provenance`.
    """
    run = RunInTraining(spec, device)
    source, state = run_id, _read(run_id, store)
    if state is None and (shorter := store.shorter(run_id, spec, since)):
        source, state = shorter, _read(shorter, store)
    if state is not None:
        run.load_state_dict(state)
    run.start_segment(provenance)
    store.write_spec(run_id, spec)
    # The last line of a shorter run may be one that this run would not have written.
    if source != run_id and run.history and run.history[-1]["step"] % LOG_STEPS:
        run.history.pop()
    write_bytes(store.progress(run_id), _lines(run))
    return run


def _lines(run: RunInTraining) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in run.history).encode()


def _read(run_id: str, store: Store) -> dict[str, Any] | None:
    state = load_tensors(store.checkpoint(run_id))
    # Those of earlier versions of the suite have no history.
    if state is not None and (state.get("run_id") != run_id or "history" not in state):
        set_aside(store.checkpoint(run_id), "the checkpoint of another run or version")
        return None
    return state


def log(run_id: str, run: RunInTraining, store: Store) -> None:
    """Add the last line of a run's curve to the file that tells how far it is."""
    append_line(store.progress(run_id), json.dumps(run.history[-1]))


def keep(run_id: str, run: RunInTraining, store: Store) -> None:
    """Write a checkpoint."""
    save_tensors(store.checkpoint(run_id), {"run_id": run_id, **run.state_dict()})


def finish(run_id: str, run: RunInTraining, store: Store, *, spectra_images: int) -> None:
    """Write a trained run's weights, spectra and record.

    Its last checkpoint stays: from it the same run with more epochs goes on. The spectra are those
    of the codes of ``spectra_images`` test images.
    """
    spec = run.spec
    # PyTorch then loads them on machines without a GPU, too.
    state = {name: values.cpu() for name, values in run.model.state_dict().items()}
    save_state(store.weights(run_id), state)
    digest, before = state_sha256(state), store.read_folder(run_id).trained
    if before is not None and before.weights_sha256 != digest:
        # Spectra and curve of other weights must not stand beside its record.
        store.forget_trained(run_id)
    write_spectra(store.folder(run_id), np.stack(run.spectra))
    write_bytes(store.history(run_id), _lines(run))
    *earlier, last = run.segments
    record = TrainingRecord(
        run_id=run_id,
        spec=spec,
        data=replace(dataset(spec.dataset), folder=""),
        weights_sha256=digest,
        spectra_images=spectra_images,
        timing={
            "seconds": round(run.seconds, 3),
            "images_per_second": round(spec.epochs * spec.train_images / run.seconds, 1),
            "finished": round(time.time()),
        },
        provenance=last | {"side_by_side": run.side_by_side},
        source=run.method.source,
        earlier=earlier,
    )
    store.write_trained(record)
    store.progress(run_id).unlink(missing_ok=True)
