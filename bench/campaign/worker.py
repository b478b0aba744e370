"""One group of runs, from data to records: train what is not trained, measure what is not measured.

Runs in a worker process.
"""

import contextlib
import functools
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bench.campaign.job import Job, WorkerSettings
from bench.campaign.runs import failure_of, measurements_of, missing_of
from bench.data import Dataset, dataset
from bench.data.images import LoadedData
from bench.device import is_out_of_memory, raise_unless_of_run, use_threads, why_unusable
from bench.errors import BenchError, UsageError, described
from bench.evaluation.evaluate import Evaluation, compare_decoded, evaluate
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.reference import load_reference
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.files import lock, set_aside
from bench.machine import core_count, keep_memory
from bench.models.networks import Autoencoder, initial_model
from bench.store import identity
from bench.store.folders import RunFolder, Store, kept_images, write_arrays
from bench.store.provenance import provenance
from bench.store.records import FailedRun, MeasurementRecord, Result, TrainingRecord
from bench.tensors import load_state
from bench.training import checkpoint
from bench.training.loop import train
from bench.training.run_in_training import RunInTraining, to_device

# The spectrum at the end of an epoch may take this share of its time: an image that is
# encoded costs a fifteenth of one that is trained on.
_SPECTRUM_SHARE = 5
_LEAST_IN_SPECTRUM = 1_000
# Seconds from one look at a run that another process is working on to the next.
_PATIENCE = 0.5


def fetch(job: Job, settings: WorkerSettings) -> str:
    """Fetch and verify what a run needs, once, before several workers ask for it.

    That is the data, the extractors' weights, and what the extractors see of the real images.

    Returns:
        One line on where the data came from and which extractors measure the FIDs.

    Raises:
        BenchError: the data or an extractor's weights cannot be had.
    """
    # Nothing else is running yet.
    use_threads(core_count())
    cache, declared = Store(settings.runs_dir).cache, dataset(job.training.dataset)
    images = job.training.train_images
    data = _load(declared, settings.data_dir)
    extractors = []
    for spec in job.measurements:
        extractor = _extractor(job.training, spec, settings, _device(settings))
        try:
            load_reference(declared.name, data, spec, extractor, cache, train_images=images)
        except (Exception, SystemExit) as error:
            raise_unless_of_run(error, "looking at real images", BenchError, OSError)
            raise BenchError(f"extractor {spec.extractor}: {described(error)}") from error
        seen = extractor.declared
        extractors.append(f"{seen.name} (weights {seen.checksum[:8]})")
    return f"{declared.description}: {data.source}; FID by {', '.join(extractors)}"


def execute(group: Sequence[Job], settings: WorkerSettings) -> list[RunFolder]:
    """Train and measure a group of runs that share their data, and store their records.

    What is trained is only measured; what is measured too, or has failed, is left as it is. A run
    that fails leaves a failure in the store and does not stop the others.

    Returns:
        The folders of the runs that have come to their end: all but those that another process is
        working on, and those that it was time to stop before.

    Raises:
        BenchError: something that concerns every run: data, weights, device, a full disk.
    """
    use_threads(settings.threads)
    keep_memory()
    store = Store(settings.runs_dir)
    # One order for every process: two with overlapping groups cannot block each other.
    jobs = sorted(group, key=lambda job: job.run_id)
    with contextlib.ExitStack() as held:
        mine = [
            job for job in jobs if held.enter_context(_held(store.lock_path(job.run_id), settings))
        ]
        return _Group(mine, store, settings).run() if mine else []


@contextlib.contextmanager
def _held(path: Path, settings: WorkerSettings) -> Iterator[bool]:
    """Hold a run's lock; where it is wanted, wait for another holder until it is time to stop."""
    while True:
        with lock(path, wait=False) as held:
            if held or not settings.wait or settings.is_over():
                yield held
                return
        time.sleep(_PATIENCE)


class _Group:
    """Runs of one data set, whose locks are held."""

    def __init__(self, jobs: Sequence[Job], store: Store, settings: WorkerSettings) -> None:
        self._jobs, self._store, self._settings = jobs, store, settings
        self._device = _device(settings)

    def run(self) -> list[RunFolder]:
        """Bring every run to its end, unless it is time to stop."""
        if self._settings.is_over():
            return []
        if self._settings.anew_since:
            for job in self._jobs:
                self._store.forget(job.run_id, self._settings.anew_since)
        if self._settings.retried_since:
            for job in self._jobs:
                self._store.forget_failure(job.run_id, self._settings.retried_since)
        left = [job for job in self._jobs if self._is_left(job)]
        # Measurements read the kept weights, also of a run that was trained just now, so that their
        # numbers do not depend on when they are made.
        failed = self._train([job for job in left if not self._has_weights(job)])
        # Training may have gone on with another number.
        use_threads(self._settings.threads)
        ended = []
        for job in self._jobs:
            if job in left and job.run_id not in failed:
                if self._settings.is_over():
                    continue
                if failure := self._measure(job):
                    failed[job.run_id] = failure
            folder = self._store.read_folder(job.run_id)
            # A failure for want of memory is not stored.
            ended.append(replace(folder, failure=failed.get(job.run_id, folder.failure)))
        return ended

    def _is_left(self, job: Job) -> bool:
        """Whether a run has anything to do; sets aside what of it cannot be trusted."""
        folder = self._store.read_folder(job.run_id)
        for path, why in folder.damage.items():
            set_aside(path, why)
        left = folder.trained is None or missing_of(job, folder)
        return bool(left) and failure_of(job, folder) is None

    def _has_weights(self, job: Job) -> bool:
        """Whether a run is trained and its weights are whole."""
        trained = self._store.read_folder(job.run_id).trained
        path = self._store.weights(job.run_id)
        return trained is not None and load_state(path, trained.weights_sha256) is not None

    def _train(self, jobs: Sequence[Job]) -> dict[str, FailedRun]:
        """Train runs, and return the failures of those that failed."""
        if not jobs:
            return {}
        store, first = self._store, jobs[0].training
        data = _load(dataset(first.dataset), self._settings.data_dir)
        training = data.train.spread(first.train_images)
        in_spectrum = max(_LEAST_IN_SPECTRUM, first.train_images // _SPECTRUM_SHARE)
        test = data.test.spread(min(len(data.test.images), in_spectrum)).images
        failed: dict[str, FailedRun] = {}
        run_ids: dict[RunInTraining, str] = {}
        made = self._provenance() | {"images_sha256": training.checksum}
        for job in jobs:
            run_id, spec = job.run_id, job.training
            try:
                run = checkpoint.resume(
                    run_id, spec, store, self._device, made, since=self._settings.anew_since
                )
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the other runs go on
                raise_unless_of_run(error, f"building {spec.name}", BenchError, OSError)
                failed[run_id] = self._failed(run_id, spec, error)
            else:
                run_ids[run] = run_id
        failures = train(
            list(run_ids),
            to_device(training.images, self._device),
            test,
            log=lambda run: checkpoint.log(run_ids[run], run, store),
            checkpoint=lambda run: checkpoint.keep(run_ids[run], run, store),
            checkpoint_steps=checkpoint.CHECKPOINT_STEPS[self._device.type],
            is_over=self._settings.is_over,
        )
        for run, run_id in run_ids.items():
            if run in failures:
                failed[run_id] = self._failed(run_id, run.spec, failures[run])
                if isinstance(failures[run], ArithmeticError):
                    # Going on from it would lead to the same loss.
                    store.checkpoint(run_id).unlink(missing_ok=True)
            elif run.step == run.spec.steps:
                checkpoint.finish(run_id, run, store, spectra_images=len(test))
        return failed

    def _measure(self, job: Job) -> FailedRun | None:
        """Measure what is missing, through one extractor after another; return why it failed."""
        evaluation: Evaluation | None = None
        folder = self._store.read_folder(job.run_id)
        trained = folder.trained
        if trained is None:
            gone = f"{self._store.folder(job.run_id)}: what was trained just now is gone"
            error = BenchError(folder.complaint or gone)
            return FailedRun(job.run_id, job.training, described(error), "")
        model = self._trained_model(job, trained)
        name, images = job.training.dataset, job.training.train_images
        data = _load(dataset(name), self._settings.data_dir)
        for spec in missing_of(job, folder):
            start = time.perf_counter()
            try:
                evaluation = evaluation or evaluate(model, job.training, spec, data)
                extractor = _extractor(job.training, spec, self._settings, self._device)
                reference = load_reference(
                    name, data, spec, extractor, self._store.cache, train_images=images
                )
                seen = compare_decoded(model, evaluation.codes, reference, extractor)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the other runs go on
                raise_unless_of_run(error, f"measuring {job.training.name}", BenchError, OSError)
                return self._failed(job.run_id, job.training, error, spec)
            record = MeasurementRecord(
                run_id=job.run_id,
                spec=spec,
                weights_sha256=trained.weights_sha256,
                metrics=evaluation.metrics | seen,
                extractor={
                    "name": extractor.declared.name,
                    "dimensions": extractor.declared.dimensions,
                    "checksum": extractor.declared.identity,
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
        return None

    def _keep(
        self, record: MeasurementRecord, trained: TrainingRecord, evaluation: Evaluation
    ) -> None:
        """Store a measurement, and the images where no earlier one has brought them."""
        store = self._store
        folder = store.read_folder(record.run_id)
        others = Result(trained, measurements_of(folder, record.spec), folder.path)
        path = folder.path / f"measured-{record.identity}.npz"
        if not kept_images(others, "originals"):
            write_arrays(path, evaluation.images)
        elif record.identity not in {each.identity for each in others.measurements}:
            # One that is there already is of other weights.
            path.unlink(missing_ok=True)
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
        error: BaseException,
        measuring: MeasurementSpec | None = None,
    ) -> FailedRun:
        trace = "".join(traceback.format_exception(error))
        # Its frames hold the images, and all runs of the group.
        error.__traceback__ = None
        failure = FailedRun(run_id, spec, described(error), trace, measuring)
        # What other processes left of the memory is no fault of the run's.
        if not is_out_of_memory(error):
            self._store.write_failure(failure)
        return failure

    def _provenance(self) -> dict[str, str | int]:
        device = self._device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        return provenance(name, self._settings.threads)


# One run after another in a worker is of the same data, which took seconds to read or generate.
@functools.lru_cache(maxsize=1)
def _load(data: Dataset, data_dir: Path) -> LoadedData:
    return data.load(data_dir)


# Weights take a second to read and to check, and runs are measured one after another.
_loaded = functools.lru_cache(maxsize=4)(Extractor.load)


def _extractor(
    training: TrainingSpec, spec: MeasurementSpec, settings: WorkerSettings, device: torch.device
) -> Extractor:
    data = dataset(training.dataset)
    return _loaded(declared_extractor(spec.extractor, data, settings.fid_weights), device)


def _device(settings: WorkerSettings) -> torch.device:
    device = torch.device(settings.device)
    if reason := why_unusable(device):
        raise UsageError(f"--device {settings.device}: {reason}; use --device cpu")
    if device.index is not None:
        # Else the first GPU would be used, too.
        torch.cuda.set_device(device)
    return device
