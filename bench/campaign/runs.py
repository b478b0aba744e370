"""Finished and failed runs as the runs folder was read, by the cells that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.campaign.job import Job, Outcome
from bench.campaign.plan import ExpectedChecksum, job_of, measurement_of
from bench.experiments.spec import Cell, TrainingSpec
from bench.store.folders import RunFolder
from bench.store.records import FailedRun, Result, TrainingRecord


class Runs:
    """The runs folder as it was read, once a command, and what has come of runs since.

    Attributes:
        folders: by run.
        expected: which extractors' measurements count.
    """

    def __init__(self, folders: Mapping[str, RunFolder], expected: ExpectedChecksum) -> None:
        """Sort runs by what they are but for their seed."""
        self.folders = dict(folders)
        self.expected = expected
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
        found = (self._result(folder, cell) for folder in self._folders(cell, count))
        return [result for result in found if result is not None]

    def failed(self, cell: Cell, count: int | None) -> list[FailedRun]:
        """Runs of a cell that failed, likewise."""
        found = (
            folder.failure_of(cell.measurement)
            for folder in self._folders(cell, count)
            if self._result(folder, cell) is None
        )
        return [failed for failed in found if failed is not None]

    def has(self, job: Job) -> bool:
        """Whether a job's run is trained and measured as it asks for."""
        folder = self.folders.get(job.run_id)
        return folder is not None and self._result(folder, job) is not None

    def results(self) -> list[Result]:
        """Every run with each of its measurements."""
        return [
            Result(folder.trained, record)
            for folder in self.folders.values()
            if folder.trained
            for record in folder.measured
        ]

    def with_outcomes(self, outcomes: Mapping[str, Outcome]) -> Runs:
        """The same, after runs have come to their ends."""
        folders = dict(self.folders)
        for run, outcome in outcomes.items():
            before = folders.get(run, RunFolder(run))
            measured = (outcome.measured,) if outcome.measured else ()
            others = before.measured if outcome.trained == before.trained else ()
            folders[run] = replace(
                before,
                trained=outcome.trained,
                measured=(*(m for m in others if m not in measured), *measured),
                failure=outcome.failure,
                damage=(),
            )
        return Runs(folders, self.expected)

    def _folders(self, cell: Cell, count: int | None) -> list[RunFolder]:
        return [
            self.folders[name]
            for seed, name in self._by_spec.get(replace(cell.training, seed=0), ())
            # Of other data of that name, a run has another identity.
            if (count is None or seed < count) and name == job_of(cell, seed).run_id
        ]

    def _result(self, folder: RunFolder, cell: Cell | Job) -> Result | None:
        if folder.trained is None:
            return None
        checksum = self.expected(cell.training.dataset, cell.measurement.features)
        record = measurement_of(folder, cell.measurement, checksum)
        return None if record is None else Result(folder.trained, record)
