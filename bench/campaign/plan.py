"""What a request asks for and what of it is missing; nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import nan

from bench.campaign.job import Job
from bench.data import dataset
from bench.evaluation.extractors import expected_checksum, in_order
from bench.experiments.spec import Cell, MeasurementSpec, TrainingSpec
from bench.store.folders import RunFolder, Store
from bench.store.identity import run_id
from bench.store.records import MeasurementRecord

# Runs that a GPU trains at once, and up to which width CelebA's network leaves room for others.
_SIDE_BY_SIDE = 16
_NARROW = 1 / 8


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
        unmeasured: extractors that a finished run cannot be measured through, since its weights are
            not here.
        steps_done: steps of an unfinished run that are behind it.
        training_seconds: estimated time of the training that is left, on one worker; NaN where no
            finished run tells.
        measuring_seconds: likewise, of measuring.
    """

    job: Job
    state: State
    reason: str = ""
    unmeasured: tuple[str, ...] = ()
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
    *,
    insist: bool = False,
) -> list[PlannedRun]:
    """Plan each different run once, in the order in which they are first asked for.

    Args:
        jobs: the runs of every requested cell; tables share some.
        folders: the runs folder as it was read.
        store: tells how far unfinished runs are.
        device: ``cpu``, ``cuda`` or ``cuda:N``, for the estimate.
        insist: train a run again whose weights are gone, where an extractor has not seen it that
            was asked for by name; otherwise what others have measured of it will do.
    """
    estimate = _Estimate(folders.values(), device)
    return [
        _planned(job, folders.get(job.run_id, RunFolder(job.run_id)), store, estimate, insist)
        for job in {job.run_id: job for job in jobs}.values()
    ]


def _planned(
    job: Job, folder: RunFolder, store: Store, estimate: _Estimate, insist: bool
) -> PlannedRun:
    missing = missing_of(job, folder)
    if not missing:
        return PlannedRun(job, State.DONE)
    for spec in missing:
        if failed := folder.failure_of(spec):
            return PlannedRun(job, State.FAILED, failed.reason)
    measuring = estimate.measuring(job, missing)
    if folder.trained is not None and folder.has_weights:
        return PlannedRun(job, State.TRAINED, measuring_seconds=measuring)
    seen = {record.spec.features for record in measurements_of(folder, job.measurements[0])}
    if seen and not insist:
        left = tuple(spec.features for spec in missing if spec.features not in seen)
        return PlannedRun(job, State.DONE, unmeasured=left)
    state = State.STARTED if folder.has_checkpoint else State.TO_TRAIN
    steps = store.steps_done(job.run_id) if folder.has_checkpoint else 0
    training = estimate.training(job.training, steps)
    reason = LACKS_WEIGHTS if folder.trained is not None else ""
    return PlannedRun(
        job,
        state,
        reason,
        steps_done=steps,
        training_seconds=training,
        measuring_seconds=measuring,
    )


def measurements_of(folder: RunFolder, size: MeasurementSpec) -> tuple[MeasurementRecord, ...]:
    """A run's measurements of a size, through each extractor that is known here, in their order.

    Args:
        folder: the run's.
        size: how much was to be measured, whichever the extractor.
    """
    if folder.trained is None:
        return ()
    data = folder.trained.data
    found = {
        record.spec.features: record
        for record in sorted(folder.measured, key=lambda record: record.timing["finished"])
        if replace(record.spec, features=size.features) == size
        and record.extractor["checksum"] == expected_checksum(record.spec.features, data)
    }
    return tuple(found[name] for name in sorted(found, key=in_order))


def missing_of(job: Job, folder: RunFolder) -> tuple[MeasurementSpec, ...]:
    """What of a job is not measured yet: wholly, or a metric that came later."""
    complete = {
        record.spec for record in measurements_of(folder, job.measurements[0]) if not record.lacks
    }
    return tuple(spec for spec in job.measurements if spec not in complete)


def job_of(cell: Cell, seed: int) -> Job:
    """A cell's run of a seed: where a run's identity is computed, to be handed on from here."""
    training = replace(cell.training, seed=seed)
    fingerprint = dataset(training.dataset).fingerprint
    return Job(run_id(training, fingerprint), training, cell.measurements)


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
        """Seconds of the training that is left; NaN where no finished run tells."""
        network = dataset(spec.dataset).network
        rates = self._rates.get((network, spec.width, spec.precision), [nan])
        return (spec.steps - steps_done) * spec.batch_size / (sum(rates) / len(rates))

    def measuring(self, job: Job, specs: Sequence[MeasurementSpec]) -> float:
        """Seconds of measuring through each extractor; NaN where no finished run tells."""
        network = dataset(job.training.dataset).network
        known = [self._measuring.get((network, spec), [nan]) for spec in specs]
        return sum(sum(seconds) / len(seconds) for seconds in known)
