"""Runs that cells ask for, and what the runs folder has of them."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.campaign.job import Job
from bench.data import dataset
from bench.evaluation.extractors import expected_identity, in_order
from bench.experiments.spec import Cell, MeasurementSpec, TrainingSpec
from bench.models.methods import source_of
from bench.store.folders import RunFolder
from bench.store.identity import run_id
from bench.store.records import FailedRun, MeasurementRecord, Result


def identity_of(spec: TrainingSpec) -> str:
    """A run's identity, by its data set and method as they are registered in this process."""
    return run_id(spec, dataset(spec.dataset).fingerprint, source_of(spec.method))


def jobs_of(cells: Iterable[Cell], seeds: Iterable[int], only: Sequence[str] = ()) -> list[Job]:
    """Each different run of some cells once: tables share some.

    Where there are patterns (``--only``), a run's name or its folder's must match one.
    """
    jobs: dict[str, Job] = {}
    for cell in cells:
        for seed in seeds:
            training = replace(cell.training, seed=seed)
            job = Job(identity_of(training), training, cell.measurements)
            names = (training.name, job.run_id)
            if not only or any(fnmatch.fnmatchcase(name, glob) for glob in only for name in names):
                jobs.setdefault(job.run_id, job)
    return list(jobs.values())


def seeds_shown(asked: int | None, runs: Mapping[str, RunFolder]) -> range:
    """As many seeds from 0 on as were asked for, or else up to the highest that any run has."""
    if asked is not None:
        return range(asked)
    records = [record for each in runs.values() if (record := each.trained or each.failure)]
    return range(1 + max((record.spec.seed for record in records), default=0))


def measurements_of(folder: RunFolder, size: MeasurementSpec) -> tuple[MeasurementRecord, ...]:
    """A run's measurements of a size, through each extractor that is pinned here, in their order.

    The extractor that the size itself names does not count.
    """
    if folder.trained is None:
        return ()
    data = folder.trained.data
    found = {
        record.spec.extractor: record
        for record in sorted(folder.measured, key=lambda record: record.timing["finished"])
        if replace(record.spec, extractor=size.extractor) == size
        and record.extractor["checksum"] == expected_identity(record.spec.extractor, data)
    }
    return tuple(found[name] for name in sorted(found, key=in_order))


def missing_of(job: Job, folder: RunFolder) -> tuple[MeasurementSpec, ...]:
    """What of a job is not measured yet: wholly, or a metric that came later."""
    complete = {
        record.spec
        for size in job.measurements[:1]
        for record in measurements_of(folder, size)
        if not record.lacks
    }
    return tuple(spec for spec in job.measurements if spec not in complete)


def unseen_by(job: Job, folder: RunFolder) -> tuple[str, ...]:
    """The extractors of a job that have measured nothing of its run."""
    seen = {record.spec.extractor for record in measurements_of(folder, job.measurements[0])}
    return tuple(spec.extractor for spec in job.measurements if spec.extractor not in seen)


def failure_of(job: Job, folder: RunFolder) -> FailedRun | None:
    """Why training, or what is missing of the measurements, has failed; None where it has not."""
    failed, missing = folder.failure, missing_of(job, folder)
    # What is not trained, or no longer, has yet to be measured.
    of = (None, *missing) if folder.trained else (None,)
    return failed if failed and missing and failed.measurement in of else None


def result_of(job: Job, folder: RunFolder) -> Result | None:
    """A job's run as far as it is measured; None where no extractor has seen it."""
    seen = measurements_of(folder, job.measurements[0])
    return Result(folder.trained, seen, folder.path) if folder.trained and seen else None


def every_result(runs: Mapping[str, RunFolder]) -> list[Result]:
    """Every run with all that was measured of it, those of one size together, the latest last."""
    return [
        Result(folder.trained, seen, folder.path)
        for folder in runs.values()
        for size in _sizes(folder)
        if folder.trained and (seen := measurements_of(folder, size))
    ]


def _sizes(folder: RunFolder) -> list[MeasurementSpec]:
    """How much was measured of a run, whichever the extractor, the latest last."""
    ordered = sorted(folder.measured, key=lambda record: record.timing["finished"], reverse=True)
    sizes = dict.fromkeys(replace(record.spec, extractor="") for record in ordered)
    return list(sizes)[::-1]
