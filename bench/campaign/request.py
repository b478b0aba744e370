"""What was asked for, as the command line has it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.campaign.job import WorkerSettings
from bench.report.display import Display

# Beside running what is missing.
MODES = ("plan", "collect", "status", "gc", "verify", "export", "force", "retry_failed")


@dataclass(frozen=True)
class Request:
    """What was asked for; the fields are the command line's options of the same names.

    Attributes:
        optional: tables and figures that are shown as far as their runs are cached, and left out
            where none is.
        everything: all that is cached was asked for, and no table in particular.
        implied: what is collected was not named, and tables that do not fit the options are left
            out.
        worker: what workers are handed.
        display: how what they measured is shown.
        mode: ``run``, or one of :data:`MODES`.
    """

    tables: Sequence[str]
    figures: Sequence[str] = ()
    optional: Collection[str] = ()
    everything: bool = False
    implied: bool = False
    only: Sequence[str] = ()
    seeds: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    profile: str = "auto"
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    display: Display = field(default_factory=Display)
    jobs: int | None = None
    stop_after: int | None = None
    scheduler: str | None = None
    tables_dir: Path = Path("tables")
    figures_dir: Path = Path("figures")
    dataset: str | None = None
    name: str | None = None
    download: bool = False
    claims: bool = False
    report: Path | None = None
    export: Path | None = None
    verify: str | None = None
    weights_of: str | None = None
    mode: str = "run"
