"""What a worker is handed besides runs, and what it hands back. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.data import Dataset
from bench.store import Failure, Record


@dataclass(frozen=True)
class Settings:
    """Where and how runs are executed; nothing here changes what they measure.

    Attributes:
        runs_dir: the store's root.
        data_dir: the user's data, and downloads.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of one worker.
        stack: the most runs that a worker trains as one; None for what suits the device.
        fid_weights: Inception's weights file, where one was given.
        keep_checkpoints: keep the trained weights of finished runs.
        tensorboard: write event files of runs as they train.
        return_files: hand back with a run what else its folder holds.
        wait: wait for a run that another process is training, instead of passing it over.
        plugins: code of the user's own, which a worker loads too.
        located: data sets that were found on this machine, which a worker registers too.
    """

    runs_dir: Path
    data_dir: Path
    device: str
    threads: int
    stack: int | None = None
    fid_weights: Path | None = None
    keep_checkpoints: bool = False
    tensorboard: bool = False
    return_files: bool = False
    wait: bool = False
    plugins: tuple[str, ...] = ()
    located: tuple[Dataset, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        run_id: which run.
        record: what it measured, if it finished.
        failure: why it failed, if it did; neither where another process is training it.
        elsewhere: whether another process had brought it to its end.
        files: what its folder holds by name, where that was asked for.
    """

    run_id: str
    record: Record | None = None
    failure: Failure | None = None
    elsewhere: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
