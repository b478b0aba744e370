"""One group of runs, from data to records: train what is not trained, measure what is not measured.

Runs in a worker process.
"""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from bench.campaign.job import Job, Outcome, WorkerSettings
from bench.campaign.plan import measurements_of, missing_of
from bench.data import dataset
from bench.data.images import LoadedData, spread
from bench.errors import BenchError, UsageError
from bench.evaluation.evaluate import Evaluation, evaluate, look, real_images
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import extractor_spec
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.files import lock
from bench.machine import core_count, keep_memory
from bench.models.device import is_out_of_memory, raise_if_of_device, why_unusable
from bench.models.networks import Autoencoder
from bench.models.tensors import load_state
from bench.store import identity
from bench.store.events import Events
from bench.store.folders import RunFolder, Store, read_history
from bench.store.provenance import provenance
from bench.store.records import FailedRun, MeasurementRecord, Result, TrainingRecord
from bench.training import checkpoint
from bench.training.loop import HistoryLine, train
from bench.training.trainee import Trainee, initial_model, place

# Of the time of an epoch, the spectrum at its end may take about this share's: an image that is
# encoded costs a fifteenth of one that is trained on.
_SPECTRUM_SHARE = 5
_LEAST_IN_SPECTRUM = 1_000


def prepare(job: Job, settings: WorkerSettings) -> str:
    """Fetch and verify what a run needs, once, before several workers ask for it.

    That is the data, the extractors' weights, and what the extractors see of the real images.

    Returns:
        One line on where the data came from and which extractors measure the FIDs.

    Raises:
        BenchError: the data or an extractor's weights cannot be had.
    """
    # Nothing else is running yet.
    torch.set_num_threads(core_count())
    name, cache = job.training.dataset, Store(settings.runs_dir).cache
    data = _load(name, settings.data_dir)
    extractors = []
    for spec in job.measurements:
        extractor = _extractor(name, spec.features, settings, _device(settings))
        real_images(name, data, spec, extractor, cache)
        extractors.append(f"{extractor.name} (weights {extractor.checksum[:8]})")
    return f"{dataset(name).description}: {data.source}; FID by {', '.join(extractors)}"


def execute(group: Sequence[Job], settings: WorkerSettings) -> list[Outcome]:
    """Train and measure a group of runs that share their data, and store their records.

    What is trained is only measured; what is measured too, or has failed, is returned as it is. A
    run that fails leaves a failure in the store and does not stop the others.

    Raises:
        BenchError: something that concerns every run: data, weights, device, a full disk.
    """
    torch.set_num_threads(settings.threads)
    keep_memory()
    store = Store(settings.runs_dir)
    # One order for every process: two with overlapping groups cannot block each other.
    jobs = sorted({job.run_id: job for job in group}.values(), key=lambda job: job.run_id)
    outcomes: list[Outcome] = []
    with contextlib.ExitStack() as held:
        mine = [
            job
            for job in jobs
            if held.enter_context(lock(store.lock_path(job.run_id), settings.wait))
        ]
        outcomes += [Outcome(job.run_id) for job in jobs if job not in mine]
        if mine:
            outcomes += _Group(mine, store, settings).run()
        if settings.return_files:
            outcomes = [
                replace(outcome, files=store.files(outcome.run_id)) if outcome.trained else outcome
                for outcome in outcomes
            ]
        return outcomes


class _Group:
    """Runs of one data set, whose locks are held."""

    def __init__(self, jobs: Sequence[Job], store: Store, settings: WorkerSettings) -> None:
        self._jobs, self._store, self._settings = jobs, store, settings
        self._device = _device(settings)
        self._events: dict[str, Events] = {}

    def run(self) -> list[Outcome]:
        """Bring every run to its end."""
        ended = {job.run_id: self._known(job) for job in self._jobs}
        left = [job for job in self._jobs if self._is_left(job, ended[job.run_id])]
        # Measurements read the kept weights, also of a run that was trained just now, so that their
        # numbers do not depend on when they are made.
        to_train = [job for job in left if not self._has_weights(job, ended[job.run_id])]
        if to_train:
            ended |= self._train(to_train)
        for job in left:
            outcome = ended[job.run_id]
            if outcome.failure is None and outcome.trained is not None:
                ended[job.run_id] = self._measure(job, outcome.trained)
        for events in self._events.values():
            events.close()
        return list(ended.values())

    def _known(self, job: Job) -> Outcome:
        """What the store knows of a run, with what cannot be trusted out of the way."""
        folder = self._store.read_folder(job.run_id)
        self._store.set_damaged_aside(folder)
        measured = measurements_of(folder, job.measurements[0])
        failures = [folder.failure_of(spec) for spec in missing_of(job, folder)]
        failure = next((each for each in failures if each), None)
        return Outcome(job.run_id, folder.trained, measured, failure, elsewhere=True)

    def _is_left(self, job: Job, known: Outcome) -> bool:
        """Whether there is anything left to do for a run."""
        folder = RunFolder(job.run_id, known.trained, known.measured)
        return known.failure is None and bool(missing_of(job, folder))

    def _has_weights(self, job: Job, known: Outcome) -> bool:
        """Whether a run is trained and its weights are whole."""
        if known.trained is None:
            return False
        path = self._store.weights(job.run_id)
        return load_state(path, known.trained.weights_sha256) is not None

    def _train(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        store, first = self._store, jobs[0].training
        data = _load(first.dataset, self._settings.data_dir)
        training = data.train.spread(first.train_images)
        test = data.test.images[_of_spectra(len(data.test.images), first.train_images)]
        outcomes: dict[str, Outcome] = {}
        run_ids: dict[Trainee, str] = {}
        made = self._provenance() | {"images_sha256": training.checksum}
        for job in jobs:
            try:
                trainee = checkpoint.resume(job.run_id, job.training, store, self._device, made)
            except (BenchError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - the other runs go on
                raise_if_of_device(error, f"building {job.training.name}")
                outcomes[job.run_id] = self._failed(job.run_id, job.training, error)
                continue
            run_ids[trainee] = job.run_id
            if self._settings.tensorboard:
                history = read_history(store.history(job.run_id))
                folder = store.folder(job.run_id)
                self._events[job.run_id] = Events(folder, job.training, history)

        def log(trainee: Trainee, line: HistoryLine) -> None:
            checkpoint.log(run_ids[trainee], line, store)
            if events := self._events.get(run_ids[trainee]):
                events.line(asdict(line))

        failures = train(
            list(run_ids),
            place(training.images, self._device),
            test,
            log=log,
            checkpoint=lambda trainee: checkpoint.keep(run_ids[trainee], trainee, store),
            checkpoint_steps=checkpoint.CHECKPOINT_STEPS[self._device.type],
        )
        for trainee, run_id in run_ids.items():
            if trainee in failures:
                outcomes[run_id] = self._failed(run_id, trainee.spec, failures[trainee])
                if isinstance(failures[trainee], ArithmeticError):
                    # Going on from it would lead to the same loss.
                    store.checkpoint(run_id).unlink(missing_ok=True)
                continue
            record = checkpoint.finish(run_id, trainee, store, spectra_images=len(test))
            outcomes[run_id] = Outcome(run_id, record)
        return outcomes

    def _measure(self, job: Job, trained: TrainingRecord) -> Outcome:
        """Measure what is missing, through one extractor after another."""
        evaluation: Evaluation | None = None
        model = self._trained_model(job, trained)
        data = _load(job.training.dataset, self._settings.data_dir)
        for spec in missing_of(job, self._store.read_folder(job.run_id)):
            start = time.perf_counter()
            try:
                evaluation = evaluation or evaluate(model, job.training, spec, data)
                extractor = _extractor(
                    job.training.dataset, spec.features, self._settings, self._device
                )
                known = real_images(job.training.dataset, data, spec, extractor, self._store.cache)
                seen = look(model, evaluation.codes, known, extractor)
            except (BenchError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - the other runs go on
                raise_if_of_device(error, f"measuring {job.training.name}")
                # What other processes left of the memory is no fault of the run's.
                keep = not is_out_of_memory(error)
                failed = self._failed(job.run_id, job.training, error, spec, keep=keep)
                return replace(failed, trained=trained)
            record = MeasurementRecord(
                run_id=job.run_id,
                spec=spec,
                weights_sha256=trained.weights_sha256,
                metrics=evaluation.metrics | seen,
                extractor={
                    "name": extractor.name,
                    "dimensions": extractor.dimensions,
                    "checksum": extractor.checksum,
                },
                timing={
                    "seconds": round(time.perf_counter() - start, 3),
                    "finished": round(time.time()),
                },
                provenance=self._provenance() | {"images_sha256": data.test.checksum},
                protocol=identity.MEASURING_PROTOCOL,
                versions=identity.other_versions(),
            )
            self._keep(record, trained, evaluation)
        measured = measurements_of(self._store.read_folder(job.run_id), job.measurements[0])
        if self._settings.tensorboard:
            self._write_events(Result(trained, measured))
        return Outcome(job.run_id, trained, measured)

    def _keep(
        self, record: MeasurementRecord, trained: TrainingRecord, evaluation: Evaluation
    ) -> None:
        """Store a measurement, and the images where no earlier one has brought them."""
        store = self._store
        others = measurements_of(store.read_folder(record.run_id), record.spec)
        if not store.images(Result(trained, others), "originals"):
            name = f"measured-{record.identity}.npz"
            store.write_arrays(record.run_id, name, evaluation.images)
        store.write_measured(record)

    def _trained_model(self, job: Job, trained: TrainingRecord) -> Autoencoder:
        path = self._store.weights(job.run_id)
        state = load_state(path, trained.weights_sha256)
        if state is None:
            raise BenchError(f"{path}: gone or damaged; the same command trains it again")
        model = initial_model(job.training)
        model.load_state_dict(state)
        return model.to(self._device).eval()

    def _failed(
        self,
        run_id: str,
        spec: TrainingSpec,
        error: Exception,
        measuring: MeasurementSpec | None = None,
        *,
        keep: bool = True,
    ) -> Outcome:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        trace = "".join(traceback.format_exception(error))
        failure = FailedRun(run_id, spec, reason, trace, measuring)
        if keep:
            self._store.write_failure(failure)
        return Outcome(run_id, failure=failure)

    def _write_events(self, result: Result) -> None:
        if result.run_id not in self._events:
            history = read_history(self._store.history(result.run_id))
            folder = self._store.folder(result.run_id)
            self._events[result.run_id] = Events(folder, result.spec, history)
        self._events[result.run_id].finish(result, self._store)

    def _provenance(self) -> dict[str, str | int]:
        return provenance(_device_name(self._device), self._settings.threads)


def _of_spectra(test_images: int, train_images: int) -> torch.Tensor:
    """Indices of the test images whose codes' spectrum is taken after every epoch."""
    count = max(_LEAST_IN_SPECTRUM, train_images // _SPECTRUM_SHARE)
    return spread(test_images, min(test_images, count))


def _load(name: str, data_dir: Path) -> LoadedData:
    declared = dataset(name)
    return _memo(declared.fingerprint, declared.folder, name, data_dir)


# One run after another in a worker is of the same data, which took seconds to read or generate.
@functools.lru_cache(maxsize=1)
def _memo(fingerprint: str, folder: str, name: str, data_dir: Path) -> LoadedData:
    return dataset(name).load(data_dir)


def _extractor(
    name: str, features: str, settings: WorkerSettings, device: torch.device
) -> Extractor:
    declared = dataset(name)
    # Its name alone does not say what a data set of the user's own is.
    return _memo_extractor(features, declared.fingerprint, name, settings.fid_weights, device)


# Weights take a second to read and to check, and runs are measured one after another.
@functools.lru_cache(maxsize=4)
def _memo_extractor(
    features: str, fingerprint: str, name: str, fid_weights: Path | None, device: torch.device
) -> Extractor:
    return Extractor.load(extractor_spec(features, dataset(name), fid_weights), device)


def _device(settings: WorkerSettings) -> torch.device:
    device = torch.device(settings.device)
    if reason := why_unusable(device):
        raise UsageError(f"--device {settings.device}: {reason}; use --device cpu")
    return device


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
