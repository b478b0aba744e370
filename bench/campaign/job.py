"""What a worker is handed. Imports nothing heavy."""

import time
from dataclasses import dataclass
from math import inf
from pathlib import Path

from bench.data import Dataset
from bench.experiments.spec import MeasurementSpec, TrainingSpec


@dataclass(frozen=True)
class Job:
    """One run: what is trained, by an identity that is computed once and handed on, and measured.

    There is a measurement for each extractor, or none where a run is only to be trained.
    """

    run_id: str
    training: TrainingSpec
    measurements: tuple[MeasurementSpec, ...]


@dataclass(frozen=True)
class WorkerSettings:
    """Where and how runs are executed; it changes no number but for how sums are rounded.

    The fields that are options carry the options' names.

    Attributes:
        runs_dir: the store's root.
        data_dir: the user's data, and downloads.
        device: ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` until it is chosen.
        threads: CPU threads of one worker.
        fid_weights: Inception's weights file, where one was given.
        stop_at: no run is begun after this time, and training ends at its next checkpoint: seconds
            since 1970.
        anew_since: what was trained or measured before this time is made anew: seconds since 1970.
        retried_since: what failed before this time is tried once more: seconds since 1970.
        wait: wait for a run that another process is training, instead of passing it over.
        plugin: code of the user's own, which a worker loads too.
        located: data sets that were found on this machine, which a worker registers too.
    """

    runs_dir: Path = Path("runs")
    data_dir: Path = Path("data")
    device: str = "auto"
    threads: int = 1
    fid_weights: Path | None = None
    stop_at: float = inf
    anew_since: float = 0.0
    retried_since: float = 0.0
    wait: bool = False
    plugin: tuple[str, ...] = ()
    located: tuple[Dataset, ...] = ()

    def is_over(self) -> bool:
        """Whether it is time to stop."""
        return time.time() > self.stop_at
