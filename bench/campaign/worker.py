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
from bench.data import dataset
from bench.data.images import LoadedData, spread
from bench.errors import BenchError, UsageError
from bench.evaluation import weights
from bench.evaluation.evaluate import evaluate
from bench.evaluation.extractor import Extractor
from bench.evaluation.shipped import shipped_classifier
from bench.evaluation.trained import local_extractor
from bench.experiments.spec import TrainingSpec
from bench.files import lock
from bench.machine import keep_memory
from bench.models.device import raise_if_of_device, why_unusable
from bench.models.tensors import load_state
from bench.store import identity
from bench.store.events import Events
from bench.store.folders import Store, read_history
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

    Returns:
        One line on where the data came from and which extractor measures the FIDs.

    Raises:
        BenchError: the data or the extractor's weights cannot be had.
    """
    torch.set_num_threads(settings.threads)
    name = job.training.dataset
    data = _load(name, settings.data_dir)
    extractor = _extractor(name, job.measurement.features, settings, _device(settings))
    return (
        f"{dataset(name).description}: {data.source}; "
        f"FID by {extractor.name} (weights {extractor.checksum[:8]})"
    )


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
        left = [job for job in self._jobs if not ended[job.run_id].ended]
        # Measurements read the kept weights, also of a run that was trained just now, so that their
        # numbers do not depend on when they are made.
        to_train = [job for job in left if not self._has_weights(job, ended[job.run_id])]
        if to_train:
            ended |= self._train(to_train)
        for job in left:
            outcome = ended[job.run_id]
            if not outcome.ended and outcome.trained is not None:
                ended[job.run_id] = self._measure(job, outcome.trained)
        for events in self._events.values():
            events.close()
        return list(ended.values())

    def _known(self, job: Job) -> Outcome:
        """What the store knows of a run, with what cannot be trusted out of the way."""
        folder = self._store.read_folder(job.run_id)
        self._store.set_damaged_aside(folder)
        for record in folder.measured:
            if record.spec == job.measurement:
                checksum = self._extractor(job).checksum
                if record.extractor["checksum"] == checksum:
                    return Outcome(job.run_id, folder.trained, record, elsewhere=True)
        failure = folder.failure_of(job.measurement)
        return Outcome(job.run_id, folder.trained, failure=failure, elsewhere=True)

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
        try:
            record = self._measured(job, trained)
            if self._settings.tensorboard:
                self._write_events(Result(trained, record))
            return Outcome(job.run_id, trained, record)
        except (BenchError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - the other runs go on
            raise_if_of_device(error, f"measuring {job.training.name}")
            failed = self._failed(job.run_id, job.training, error, job)
            return replace(failed, trained=trained)

    def _measured(self, job: Job, trained: TrainingRecord) -> MeasurementRecord:
        spec, store = job.measurement, self._store
        data = _load(job.training.dataset, self._settings.data_dir)
        extractor = self._extractor(job)
        state = load_state(store.weights(job.run_id), trained.weights_sha256)
        if state is None:
            raise BenchError(
                f"{store.weights(job.run_id)}: gone or damaged; the same command trains it again"
            )
        model = initial_model(job.training)
        model.load_state_dict(state)
        start = time.perf_counter()
        evaluation = evaluate(
            model.to(self._device).eval(),
            job.training,
            spec,
            data,
            extractor=extractor,
            cache=store.cache,
        )
        record = MeasurementRecord(
            run_id=job.run_id,
            spec=spec,
            weights_sha256=trained.weights_sha256,
            metrics=evaluation.metrics,
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
        )
        store.write_arrays(job.run_id, f"measured-{record.identity}.npz", evaluation.images)
        store.write_measured(record)
        return record

    def _failed(
        self, run_id: str, spec: TrainingSpec, error: Exception, measuring: Job | None = None
    ) -> Outcome:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        trace = "".join(traceback.format_exception(error))
        measurement = measuring.measurement if measuring else None
        failure = FailedRun(run_id, spec, reason, trace, measurement)
        self._store.write_failure(failure)
        return Outcome(run_id, failure=failure)

    def _write_events(self, result: Result) -> None:
        if result.run_id not in self._events:
            history = read_history(self._store.history(result.run_id))
            folder = self._store.folder(result.run_id)
            self._events[result.run_id] = Events(folder, result.spec, history)
        self._events[result.run_id].finish(result, self._store)

    def _extractor(self, job: Job) -> Extractor:
        return _extractor(
            job.training.dataset, job.measurement.features, self._settings, self._device
        )

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
    data = (declared.fingerprint, name, settings.data_dir) if features != "inception" else None
    return _memo_extractor(features, data, settings.runs_dir, settings.fid_weights, device)


# Inception's weights take a second to read and to check, and runs are measured one after another.
@functools.lru_cache(maxsize=1)
def _memo_extractor(
    features: str,
    data: tuple[str, str, Path] | None,
    runs_dir: Path,
    fid_weights: Path | None,
    device: torch.device,
) -> Extractor:
    if data is None:
        # Imported only where it is used: it brings pytorch-fid and SciPy with it.
        from bench.evaluation.inception import inception_extractor

        return inception_extractor(weights.at_hand(fid_weights) or weights.fetch(), device)
    _, name, data_dir = data
    declared = dataset(name)
    if features == "classifier":
        return shipped_classifier(declared, device)
    return local_extractor(
        features,
        declared,
        lambda: _load(name, data_dir).train,
        Store(runs_dir).cache,
        device,
    )


def _device(settings: WorkerSettings) -> torch.device:
    device = torch.device(settings.device)
    if reason := why_unusable(device):
        raise UsageError(f"--device {settings.device}: {reason}; use --device cpu")
    return device


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
