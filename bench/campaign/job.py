"""What a worker is handed, and what it hands back. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.data import Dataset
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.store.records import FailedRun, MeasurementRecord, TrainingRecord


@dataclass(frozen=True)
class Job:
    """One run: what is trained and what is measured of it.

    Attributes:
        run_id: identity of the trained run, which is computed once and handed on.
        training: what is trained.
        measurements: what is measured, once through each extractor.
    """

    run_id: str
    training: TrainingSpec
    measurements: tuple[MeasurementSpec, ...]


@dataclass(frozen=True)
class WorkerSettings:
    """Where and how runs are executed; nothing here changes their numbers.

    The fields that are options carry the options' names.

    Attributes:
        runs_dir: the store's root.
        data_dir: the user's data, and downloads.
        device: ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` until it is chosen.
        threads: CPU threads of one worker.
        side_by_side: the most runs that a worker trains at once on a GPU; None for sixteen, but one
            where a run fills it.
        fid_weights: Inception's weights file, where one was given.
        tensorboard: write event files of runs as they train.
        return_files: hand back with a run what else its folder holds.
        wait: wait for a run that another process is training, instead of passing it over.
        plugin: code of the user's own, which a worker loads too.
        located: data sets that were found on this machine, which a worker registers too.
    """

    runs_dir: Path = Path("runs")
    data_dir: Path = Path("data")
    device: str = "auto"
    threads: int = 1
    side_by_side: int | None = None
    fid_weights: Path | None = None
    tensorboard: bool = False
    return_files: bool = False
    wait: bool = False
    plugin: tuple[str, ...] = ()
    located: tuple[Dataset, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        run_id: which run.
        trained: its training record, if it came so far.
        measured: what was measured of it, through each extractor.
        failure: why it failed, if it did. If there is neither a measurement nor a failure, another
            process is working on the run.
        elsewhere: whether another process had brought it to its end.
        files: what its folder holds by name, where that was asked for.
    """

    run_id: str
    trained: TrainingRecord | None = None
    measured: tuple[MeasurementRecord, ...] = ()
    failure: FailedRun | None = None
    elsewhere: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        return bool(self.measured) or self.failure is not None
