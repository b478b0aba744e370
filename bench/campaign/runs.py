"""Finished and failed runs as the runs folder was read, by the cells that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.campaign.job import Job
from bench.campaign.plan import job_of, measurements_of, missing_of
from bench.experiments.spec import Cell, MeasurementSpec, TrainingSpec
from bench.store.folders import RunFolder
from bench.store.records import FailedRun, Result, TrainingRecord


class Runs:
    """The runs folder as it was read.

    Attributes:
        folders: by run.
    """

    def __init__(self, folders: Mapping[str, RunFolder]) -> None:
        """Sort runs by what they are but for their seed."""
        self.folders = dict(folders)
        self._by_spec: dict[TrainingSpec, list[tuple[int, str]]] = {}
        for folder in self.folders.values():
            known = folder.trained or folder.failure
            if known is not None:
                seeds = self._by_spec.setdefault(replace(known.spec, seed=0), [])
                seeds.append((known.spec.seed, folder.run_id))
        for seeds in self._by_spec.values():
            seeds.sort()

    @property
    def trained(self) -> list[TrainingRecord]:
        """Every run that was trained."""
        return [folder.trained for folder in self.folders.values() if folder.trained]

    def of(self, cell: Cell, count: int | None) -> list[Result]:
        """Measured runs of a cell: of seeds below ``count``, or of all that are cached."""
        found = (
            (folder, measurements_of(folder, cell.measurement))
            for folder in self._folders(cell, count)
        )
        return [Result(folder.trained, seen) for folder, seen in found if folder.trained and seen]

    def failed(self, cell: Cell, count: int | None) -> list[FailedRun]:
        """Runs of a cell that failed, likewise."""
        found = (
            folder.failure_of(spec)
            for folder in self._folders(cell, count)
            if not measurements_of(folder, cell.measurement)
            for spec in cell.measurements
        )
        return list({failed.run_id: failed for failed in found if failed is not None}.values())

    def has(self, job: Job, *, insist: bool) -> bool:
        """Whether a job's run is measured: as it asks for, or, unless one insists, somehow."""
        folder = self.folders.get(job.run_id)
        if folder is None:
            return False
        if insist:
            return not missing_of(job, folder)
        return bool(measurements_of(folder, job.measurements[0]))

    def results(self) -> list[Result]:
        """Every run with all that was measured of it, those of one size together."""
        return [
            Result(folder.trained, measurements_of(folder, size))
            for folder in self.folders.values()
            if folder.trained
            for size in _sizes(folder)
        ]

    def _folders(self, cell: Cell, count: int | None) -> list[RunFolder]:
        return [
            self.folders[name]
            for seed, name in self._by_spec.get(replace(cell.training, seed=0), ())
            # Of other data of that name, a run has another identity.
            if (count is None or seed < count) and name == job_of(cell, seed).run_id
        ]


def _sizes(folder: RunFolder) -> list[MeasurementSpec]:
    """How much was measured of a run, whichever the extractor, the latest last."""
    ordered = sorted(folder.measured, key=lambda record: record.timing["finished"])
    sizes = dict.fromkeys(replace(record.spec, features="") for record in ordered)
    return [size for size in sizes if measurements_of(folder, size)]
