"""One group of runs, from data to records. Runs in a worker process."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from bench.data import dataset
from bench.data.images import LoadedData
from bench.errors import BenchError, UsageError
from bench.evaluation import weights
from bench.evaluation.evaluate import Evaluation, evaluate
from bench.evaluation.extractor import Extractor
from bench.evaluation.trained import trained_extractor
from bench.events import Events
from bench.files import append_line, lock, set_aside, sync, write_bytes
from bench.hardware import keep_memory
from bench.job import Outcome, Settings
from bench.planning import run_id_of
from bench.provenance import provenance
from bench.spec import RunSpec
from bench.store import ARRAYS, FailedRun, Failure, Record, State, Store, read_history
from bench.tensors import load_tensors, save_tensors
from bench.training.loop import Progress, train
from bench.training.trainee import Trainee, place

# A checkpoint of the MNIST network is 25 MB: every 20 s or so on one core, every few on a GPU.
CHECKPOINT_STEPS = {"cpu": 500, "cuda": 5_000}
_GRID = 10


def prepare(spec: RunSpec, settings: Settings) -> str:
    """Fetch and verify what a run needs, once, before several workers ask for it.

    Returns:
        One line on where the data came from and which extractor measures the FIDs.

    Raises:
        BenchError: the data or the extractor's weights cannot be had.
    """
    torch.set_num_threads(settings.threads)
    device = _device(settings)
    data = _load(spec, settings)
    extractor = _extractor(spec, settings, device)
    return (
        f"{dataset(spec.dataset).description}: {data.source}; "
        f"FID by {extractor.name} (weights {extractor.checksum[:8]})"
    )


def execute(group: Sequence[RunSpec], settings: Settings) -> list[Outcome]:
    """Train and evaluate a group of runs that share their data, and store their records.

    Runs that are done or have failed already are returned as they are. A run that fails leaves a
    failure in the store and does not stop the others.

    Raises:
        BenchError: something that concerns every run: data, weights, device, a full disk.
    """
    torch.set_num_threads(settings.threads)
    keep_memory()
    store = Store(settings.runs_dir)
    # One order for every process: two with overlapping groups cannot block each other.
    specs = dict(sorted((run_id_of(spec), spec) for spec in group))
    outcomes = []
    with contextlib.ExitStack() as held:
        mine = {}
        for run_id, spec in specs.items():
            if not held.enter_context(lock(store.lock_path(run_id), settings.wait)):
                outcomes.append(Outcome(run_id))
            elif store.state(run_id) is State.DONE:
                outcomes.append(Outcome(run_id, record=store.record(run_id), elsewhere=True))
            elif store.state(run_id) is State.FAILED:
                outcomes.append(Outcome(run_id, failure=store.failure(run_id), elsewhere=True))
            else:
                store.set_damaged_aside(run_id)
                mine[run_id] = spec
        outcomes += _train_and_evaluate(mine, store, settings) if mine else []
        if settings.return_files:
            outcomes = [
                replace(outcome, files=store.files(outcome.run_id)) if outcome.record else outcome
                for outcome in outcomes
            ]
        return outcomes


def _train_and_evaluate(
    specs: dict[str, RunSpec], store: Store, settings: Settings
) -> list[Outcome]:
    device = _device(settings)
    largest = max(specs.values(), key=lambda spec: spec.train_images)
    data = _load(largest, settings)
    images = place(data.train.images, device)
    run_ids = {_start(run_id, spec, store, device): run_id for run_id, spec in specs.items()}
    watched = {
        trainee: Events(store.folder(run_id), trainee.spec, read_history(store.history(run_id)))
        for trainee, run_id in run_ids.items()
        if settings.tensorboard
    }

    def log(trainee: Trainee, progress: Progress) -> None:
        append_line(store.history(run_ids[trainee]), json.dumps(asdict(progress)))
        if trainee in watched:
            watched[trainee].line(asdict(progress))

    def checkpoint(trainee: Trainee) -> None:
        # No checkpoint may outlive the history that leads to it.
        sync(store.history(run_ids[trainee]))
        state = {"run_id": run_ids[trainee], **trainee.state_dict()}
        save_tensors(store.checkpoint(run_ids[trainee]), state)

    failures = train(
        list(run_ids),
        images,
        log=log,
        checkpoint=checkpoint,
        checkpoint_steps=CHECKPOINT_STEPS[device.type],
    )
    outcomes = []
    for trainee, run_id in run_ids.items():
        error = failures.get(trainee)
        if error is None:
            try:
                record = _evaluate(trainee, run_id, data, store, settings)
                if trainee in watched:
                    watched[trainee].finish(record, store)
                outcomes.append(Outcome(run_id, record=record))
            except (BenchError, OSError):
                raise
            except Exception as raised:  # noqa: BLE001 - whatever it was, the other runs go on
                error = raised
        if error is not None:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            failure = Failure(reason, "".join(traceback.format_exception(error)))
            store.write_failure(FailedRun(run_id, trainee.spec, failure))
            outcomes.append(Outcome(run_id, failure=failure))
        if trainee in watched:
            watched[trainee].close()
        if not settings.keep_checkpoints:
            store.checkpoint(run_id).unlink(missing_ok=True)
    return outcomes


def _start(run_id: str, spec: RunSpec, store: Store, device: torch.device) -> Trainee:
    """Build a run, and take it to where its checkpoint left it."""
    trainee = Trainee(spec, device)
    state = load_tensors(store.checkpoint(run_id))
    if state is not None and state.get("run_id") != run_id:
        set_aside(store.checkpoint(run_id), "the checkpoint of another run")
    elif state is not None:
        trainee.load_state_dict(state)
    store.write_spec(run_id, spec)
    # Lines behind the checkpoint will be written again.
    rows = [row for row in read_history(store.history(run_id)) if row["step"] <= trainee.step]
    write_bytes(store.history(run_id), "".join(json.dumps(row) + "\n" for row in rows).encode())
    return trainee


def _evaluate(
    trainee: Trainee, run_id: str, data: LoadedData, store: Store, settings: Settings
) -> Record:
    spec, device = trainee.spec, _device(settings)
    extractor = _extractor(spec, settings, device)
    start = time.perf_counter()
    subset = LoadedData(
        data.train.first(spec.train_images), data.test.first(spec.test_images), data.source
    )
    evaluation = evaluate(trainee.model.eval(), spec, subset, extractor, store.cache)
    seconds = time.perf_counter() - start
    _write_arrays(store.folder(run_id), evaluation)
    record = Record(
        run_id=run_id,
        spec=spec,
        data=replace(dataset(spec.dataset), folder=""),
        metrics=evaluation.metrics,
        extractor={
            "name": extractor.name,
            "dimensions": extractor.dimensions,
            "checksum": extractor.checksum,
        },
        timing={
            "train_seconds": trainee.seconds,
            "evaluate_seconds": seconds,
            "images_per_second": spec.epochs * spec.train_images / trainee.seconds,
            "finished": time.time(),
        },
        provenance=provenance(_device_name(device), settings.threads)
        | {"stacked": trainee.stacked, "images_sha256": subset.checksum},
    )
    store.write_record(record)
    return record


def _write_arrays(folder: Path, evaluation: Evaluation) -> None:
    images = dict(evaluation.arrays)
    spectrum = {"spectrum": images.pop("spectrum")}
    for file, arrays in zip(ARRAYS, (spectrum, images), strict=True):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_bytes(folder / file, buffer.getvalue())
    samples = torch.from_numpy(evaluation.arrays["samples"][: _GRID**2])
    picture = io.BytesIO()
    to_pil_image(make_grid(samples, nrow=_GRID, padding=1)).save(picture, "PNG")
    write_bytes(folder / "samples.png", picture.getvalue())


def _load(spec: RunSpec, settings: Settings) -> LoadedData:
    data = _load_all(spec, settings)
    for split, wanted in (("train", spec.train_images), ("test", spec.test_images)):
        available = len(getattr(data, split).images)
        if wanted > available:
            raise UsageError(
                f"{split}_images={wanted:,}, but {spec.dataset} has {available:,} {split} images"
            )
    return data


def _load_all(spec: RunSpec, settings: Settings) -> LoadedData:
    declared = dataset(spec.dataset)
    return _memo(declared.fingerprint, declared.folder, spec.dataset, settings.data_dir)


# One run after another in a worker is of the same data, which took seconds to read or generate.
@functools.lru_cache(maxsize=1)
def _memo(fingerprint: str, folder: str, name: str, data_dir: Path) -> LoadedData:
    return dataset(name).load(data_dir)


def _extractor(spec: RunSpec, settings: Settings, device: torch.device) -> Extractor:
    if spec.features != "inception":
        declared = dataset(spec.dataset)
        cache = Store(settings.runs_dir).cache
        return trained_extractor(
            spec.features, declared, lambda: _load_all(spec, settings).train, cache, device
        )
    # Imported only where it is used: it brings pytorch-fid and SciPy with it.
    from bench.evaluation.inception import inception_extractor

    return inception_extractor(weights.find(settings.fid_weights) or weights.fetch(), device)


def _device(settings: Settings) -> torch.device:
    device = torch.device(settings.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {settings.device}: PyTorch {torch.__version__} finds "
            f"{torch.cuda.device_count()} GPUs here; use --device cpu or a CUDA build"
        )
    return device


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
