"""What a request asks for and what of it is missing; nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import nan

from bench.campaign.job import Job
from bench.campaign.runs import failure_of, measurements_of, missing_of, unseen_by
from bench.data import dataset
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.store.folders import RunFolder, Store

# A GPU is full with so many runs at once (docs/performance.md).
_SIDE_BY_SIDE = 16
# CelebA's network fills a GPU alone, unless it is as narrow as this.
_NARROW = 1 / 8

LACKS_WEIGHTS = "its weights are not here"


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


def plan_runs(
    jobs: Iterable[Job],
    runs: Mapping[str, RunFolder],
    store: Store,
    estimate: Estimate,
    *,
    insist: bool = False,
    retry: bool = False,
    since: float = 0.0,
) -> list[PlannedRun]:
    """Plan each run, in the order in which they are asked for.

    To ``insist`` is to train a run again whose weights are gone and that one of the job's
    extractors has not seen; else what others have measured of it will do. To ``retry`` is to run
    once more what has failed. No run goes on from the end of a shorter one of before ``since``, in
    seconds since 1970.
    """

    def planned(job: Job, folder: RunFolder) -> PlannedRun:
        missing = missing_of(job, folder)
        if not missing:
            return PlannedRun(job, State.DONE)
        has_weights = folder.trained is not None and folder.has_weights
        unseen = unseen_by(job, folder)
        will_do = measurements_of(folder, job.measurements[0]) and not (unseen and insist)
        # Nothing is trained again for a metric that came later.
        if will_do and not has_weights:
            return PlannedRun(job, State.DONE, unmeasured=unseen)
        if (failed := failure_of(job, folder)) and not retry:
            return PlannedRun(job, State.FAILED, failed.reason)
        measuring = estimate.measuring(job, missing)
        if has_weights:
            return PlannedRun(job, State.TRAINED, measuring_seconds=measuring)
        steps = store.steps_done(job.run_id) if folder.has_checkpoint else 0
        if not steps and (shorter := store.shorter(job.run_id, job.training, since)):
            steps = store.steps_done(shorter)
        return PlannedRun(
            job,
            State.STARTED if steps or folder.has_checkpoint else State.TO_TRAIN,
            LACKS_WEIGHTS if folder.trained is not None else "",
            steps_done=steps,
            training_seconds=estimate.training(job.training, steps),
            measuring_seconds=measuring,
        )

    return [planned(job, runs[job.run_id]) for job in jobs]


def groups(jobs: Sequence[Job], device: str, together: int = 1) -> list[list[Job]]:
    """Runs that are trained together, seed by seed and the longest first.

    On a CPU each run is a group, since a core is full with one. A GPU takes sixteen of those that
    leave it idle, but no group more than its share where several are trained ``together``.
    """
    alike: dict[TrainingSpec, list[Job]] = {}

    def rank(job: Job) -> tuple[int, int]:
        return job.training.seed, -job.training.steps

    for job in sorted(jobs, key=rank):
        # Only runs with steps of as many images, which take about as long, go together.
        shared = replace(job.training, method="", parameters=(), depth=0, init_scale=1.0, seed=0)
        alike.setdefault(shared, []).append(job)
    result = []
    for shared, members in alike.items():
        # A step of CelebA's printed network fills a GPU.
        idle = dataset(shared.dataset).network != "celeba" or shared.width <= _NARROW
        most = _SIDE_BY_SIDE if device != "cpu" and idle else 1
        size = min(most, -(-len(members) // together))
        result += [members[i : i + size] for i in range(0, len(members), size)]
    return sorted(result, key=lambda group: rank(group[0]))


class Estimate:
    """How long runs take on a device, by those that were finished on such a one."""

    def __init__(self, folders: Iterable[RunFolder], device: str) -> None:
        """Take the rates of finished runs; the device is ``cpu``, ``cuda`` or ``cuda:N``."""
        self._kind = device.partition(":")[0]
        self._rates: dict[tuple[str, float, str], dict[str, list[float]]] = {}
        self._measuring: dict[tuple[str, MeasurementSpec], list[float]] = {}
        for folder in folders:
            if folder.trained is None:
                continue
            network, spec = folder.trained.data.network, folder.trained.spec
            if all(map(self._like, (*folder.trained.earlier, folder.trained.provenance))):
                alike = self._rates.setdefault((network, spec.width, spec.precision), {})
                rates = alike.setdefault(spec.method, [])
                rates.append(folder.trained.timing["images_per_second"])
            for record in folder.measured:
                if self._like(record.provenance):
                    seconds = self._measuring.setdefault((network, record.spec), [])
                    seconds.append(record.timing["seconds"])

    def _like(self, provenance: Mapping[str, object]) -> bool:
        return (provenance["device"] == "cpu") == (self._kind == "cpu")

    def training(self, spec: TrainingSpec, steps_done: int) -> float:
        """Seconds of the training that is left; NaN where no finished run tells."""
        # Imported here, since --help answers without it.
        from statistics import mean, median

        network = dataset(spec.dataset).network
        alike = self._rates.get((network, spec.width, spec.precision), {})
        # Where no run of the method tells, the methods' median: PCA's rate is not one of training.
        others = [median(map(mean, alike.values()))] if alike else [nan]
        return (spec.steps - steps_done) * spec.batch_size / mean(alike.get(spec.method, others))

    def measuring(self, job: Job, specs: Sequence[MeasurementSpec]) -> float:
        """Seconds of measuring through all these extractors; NaN where no run tells of one."""
        network = dataset(job.training.dataset).network
        by_spec = [self._measuring.get((network, spec), [nan]) for spec in specs]
        return sum(sum(seconds) / len(seconds) for seconds in by_spec)
