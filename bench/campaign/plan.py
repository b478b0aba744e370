"""What a request asks for and what of it is missing; nothing here runs anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.campaign.job import Job
from bench.data import dataset
from bench.experiments.spec import Cell, MeasurementSpec, TrainingSpec
from bench.store.folders import RunFolder, Store
from bench.store.identity import run_id
from bench.store.records import MeasurementRecord

# Images per second of one worker where no finished run tells: one CPU thread (AMD EPYC, AVX-512),
# and one H100 with eleven runs side by side. Measuring counts each image encoded, decoded or drawn.
_TRAINING = {("mnist", "cpu"): 700.0, ("shape", "cpu"): 900.0, ("celeba", "cpu"): 9.0}
_TRAINING |= {("mnist", "cuda"): 60_000.0, ("shape", "cuda"): 60_000.0, ("celeba", "cuda"): 1_880.0}
# How the rate grows as networks are narrowed: less than the work falls, which is its square.
_NARROWING = 1.45
_MEASURING = {"cpu": 2_500.0, "cuda": 30_000.0}
# Runs that a GPU trains at once, and up to which width CelebA's network leaves room for others.
_SIDE_BY_SIDE = 16
_NARROW = 1 / 8

# The checksum, or its first digits, of the extractor of a data set; empty where it is not known.
ExpectedChecksum = Callable[[str, str], str]


class State(StrEnum):
    """What is left to do for a run."""

    DONE = "done"
    TRAINED = "trained, to measure"
    STARTED = "started"
    TO_TRAIN = "to train"
    FAILED = "failed"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        job: what is asked for.
        state: what is left to do.
        reason: why it failed, where it did, or why it is trained again.
        steps_done: steps of an unfinished run that are behind it.
        training_seconds: estimated time of the training that is left, on one worker.
        measuring_seconds: likewise, of measuring.
    """

    job: Job
    state: State
    reason: str = ""
    steps_done: int = 0
    training_seconds: float = 0.0
    measuring_seconds: float = 0.0

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return self.job.run_id

    @property
    def seconds(self) -> float:
        """Estimated time of all that is left, on one worker."""
        return self.training_seconds + self.measuring_seconds

    @property
    def lacks_weights(self) -> bool:
        """Whether it was trained, and is to be trained again since its weights are gone."""
        return self.state in (State.STARTED, State.TO_TRAIN) and self.reason == LACKS_WEIGHTS


LACKS_WEIGHTS = "its weights are not here"


def plan_runs(
    jobs: Iterable[Job],
    folders: Mapping[str, RunFolder],
    store: Store,
    device: str,
    expected: ExpectedChecksum,
) -> list[PlannedRun]:
    """Plan each different run once, in the order in which they are first asked for.

    Args:
        jobs: the runs of every requested cell; tables share some.
        folders: the runs folder as it was read.
        store: tells how far unfinished runs are.
        device: ``cpu``, ``cuda`` or ``cuda:N``, for the estimate.
        expected: which extractors' measurements count.
    """
    estimate = _Estimate(folders.values(), device)
    return [
        _planned(job, folders.get(job.run_id, RunFolder(job.run_id)), store, estimate, expected)
        for job in {job.run_id: job for job in jobs}.values()
    ]


def _planned(
    job: Job, folder: RunFolder, store: Store, estimate: _Estimate, expected: ExpectedChecksum
) -> PlannedRun:
    checksum = expected(job.training.dataset, job.measurement.features)
    if measurement_of(folder, job.measurement, checksum) is not None:
        return PlannedRun(job, State.DONE)
    if failed := folder.failure_of(job.measurement):
        return PlannedRun(job, State.FAILED, failed.reason)
    measuring = estimate.measuring(job)
    if folder.trained is not None and folder.has_weights:
        return PlannedRun(job, State.TRAINED, measuring_seconds=measuring)
    state = State.STARTED if folder.has_checkpoint else State.TO_TRAIN
    steps = store.steps_done(job.run_id) if folder.has_checkpoint else 0
    training = estimate.training(job.training, steps)
    reason = LACKS_WEIGHTS if folder.trained is not None else ""
    return PlannedRun(job, state, reason, steps, training, measuring)


def measurement_of(
    folder: RunFolder, spec: MeasurementSpec, checksum: str
) -> MeasurementRecord | None:
    """A run's measurement of that kind, the latest if there are several; None where there is none.

    Args:
        folder: the run's.
        spec: what was to be measured.
        checksum: the first digits of that of the extractor's weights.
    """
    found = [
        record
        for record in folder.measured
        if record.spec == spec and record.extractor["checksum"].startswith(checksum)
    ]
    return max(found, key=lambda record: record.timing["finished"], default=None)


def job_of(cell: Cell, seed: int) -> Job:
    """A cell's run of a seed: where a run's identity is computed, to be handed on from here."""
    training = replace(cell.training, seed=seed)
    fingerprint = dataset(training.dataset).fingerprint
    return Job(run_id(training, fingerprint), training, cell.measurement)


def groups(
    jobs: Sequence[Job], device: str, side_by_side: int | None = None, together: int = 1
) -> list[list[Job]]:
    """Runs that are trained together, the longest first.

    Args:
        jobs: the runs.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        side_by_side: the most runs in a group on a GPU. None: those that leave it idle in sixteens.
            On a CPU each run is a group, since a core is full with one.
        together: groups that are trained at a time; no group takes more than its share.
    """
    alike: dict[TrainingSpec, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (-job.training.steps, job.training.seed)):
        # Steps of as many images, that take about as long.
        shared = replace(job.training, method="", parameters=(), depth=0, init_scale=1.0, seed=0)
        alike.setdefault(shared, []).append(job)
    result = []
    for shared, members in alike.items():
        fitting = side_by_side or (_SIDE_BY_SIDE if _leaves_idle(shared) else 1)
        most = 1 if device == "cpu" else fitting
        size = min(most, -(-len(members) // together))
        result += [members[i : i + size] for i in range(0, len(members), size)]
    return result


def _leaves_idle(spec: TrainingSpec) -> bool:
    """Whether a step is too small to fill a GPU; one of CelebA's printed network does."""
    return dataset(spec.dataset).network != "celeba" or spec.width <= _NARROW


class _Estimate:
    """How long runs take on a device, by those that were finished on such a one."""

    def __init__(self, folders: Iterable[RunFolder], device: str) -> None:
        self._kind = device.partition(":")[0]
        self._rates: dict[tuple[str, float, str], list[float]] = {}
        self._measuring: dict[tuple[str, MeasurementSpec], list[float]] = {}
        for folder in folders:
            if folder.trained is None:
                continue
            network, spec = folder.trained.data.network, folder.trained.spec
            if all(map(self._like, (*folder.trained.earlier, folder.trained.provenance))):
                rates = self._rates.setdefault((network, spec.width, spec.precision), [])
                rates.append(folder.trained.timing["images_per_second"])
            for record in folder.measured:
                if self._like(record.provenance):
                    seconds = self._measuring.setdefault((network, record.spec), [])
                    seconds.append(record.timing["seconds"])

    def _like(self, provenance: Mapping[str, object]) -> bool:
        return (provenance["device"] == "cpu") == (self._kind == "cpu")

    def training(self, spec: TrainingSpec, steps_done: int) -> float:
        """Seconds of the training that is left."""
        network = dataset(spec.dataset).network
        guess = _TRAINING[network, self._kind] / spec.width**_NARROWING
        rates = self._rates.get((network, spec.width, spec.precision), [guess])
        return (spec.steps - steps_done) * spec.batch_size / (sum(rates) / len(rates))

    def measuring(self, job: Job) -> float:
        """Seconds of measuring."""
        network, spec = dataset(job.training.dataset).network, job.measurement
        images = job.training.train_images + 2 * spec.test_images + 3 * spec.fid_samples
        seconds = self._measuring.get((network, spec), [images / _MEASURING[self._kind]])
        return sum(seconds) / len(seconds)
