"""From what was asked to tables whose cells are runs: profile, extractor, settings, seeds."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.data import Dataset, dataset
from bench.errors import BenchError, UsageError
from bench.evaluation import weights
from bench.experiments import TABLES
from bench.planning import plan_runs, run_id_of, seeds
from bench.profiles import PROFILES, Profile
from bench.spec import HEADLINE_SAMPLER, Cell, RunSpec, TableSpec
from bench.store import Record, State, Store


@dataclass(frozen=True)
class Request:
    """What was asked for; the fields are the command line's options of the same names.

    Attributes:
        mode: ``run``, ``plan``, ``collect``, ``force`` or ``retry_failed``.
    """

    tables: Sequence[str]
    only: str | None = None
    seeds: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    profile: str = "auto"
    features: str | None = None
    precision: str = "fp32"
    sampler: str = HEADLINE_SAMPLER
    device: str = "auto"
    jobs: int | None = None
    data_dir: Path = Path("data")
    runs_dir: Path = Path("runs")
    tables_dir: Path = Path("tables")
    fid_weights: Path | None = None
    keep_checkpoints: bool = False
    plugins: tuple[str, ...] = ()
    own_data: Dataset | None = None
    mode: str = "run"


@dataclass(frozen=True)
class Resolved:
    """A request with every choice made: tables whose cells are runs."""

    profile: Profile
    features: str
    tables: Sequence[TableSpec]


def resolve(request: Request, profile: Profile, features: str) -> Resolved:
    """Declared tables at a profile's size, with what was set by hand.

    Raises:
        UsageError: ``--set`` changes what a table varies, or nothing at all.
    """
    applied: set[str] = set()
    own = request.own_data

    def change(run: RunSpec) -> RunSpec:
        run = profile.apply(replace(run, precision=request.precision, features=features))
        if own:
            run = replace(
                run,
                dataset=own.name,
                train_images=min(run.train_images, int(own.content["train"])),
                test_images=min(run.test_images, int(own.content["test"])),
            )
        applied.update(run.settable())
        run = run.with_settings(request.overrides)
        return replace(run, sampler_codes=min(run.sampler_codes, run.train_images))

    tables = []
    for name in request.tables:
        table = TABLES[name]
        if clash := sorted(table.varies & set(request.overrides)):
            raise UsageError(f"--set {clash[0]}: {name} varies it, so it cannot be set")
        table = table.with_runs(change)
        # Under a name that nothing is published for, there is no paper column.
        tables.append(replace(table, name=f"{table.name}-{own.name}") if own else table)
    if unused := sorted(set(request.overrides) - applied):
        raise UsageError(f"--set {unused[0]}: no run of {', '.join(request.tables)} has one")
    return Resolved(profile, features, tables)


def _candidates(request: Request) -> Iterator[tuple[Profile, str]]:
    """Profiles and extractors that a request leaves open, the most faithful ones first."""
    for profile in PROFILES.values():
        if request.profile in (profile.name, "auto"):
            features = _features(request, profile)
            for extractor in ("inception", "classifier") if features == "auto" else (features,):
                yield profile, extractor


def _features(request: Request, profile: Profile) -> str:
    if request.features is None and request.fid_weights is not None:
        return "inception"
    return request.features or profile.features


def most_filled(request: Request, store: Store) -> Resolved:
    """What cached runs fill best; among equals, the most faithful."""
    records = list(store.records())
    candidates = [resolve(request, *candidate) for candidate in _candidates(request)]

    def filled(resolved: Resolved) -> int:
        cells = [cell for table in resolved.tables for cell in table.cells]
        return sum(bool(cell_records(cell, records, request.seeds)) for cell in cells)

    return max(candidates, key=filled)


def resolve_for_run(request: Request, store: Store, device: str) -> Resolved:
    """Choose profile and extractor for a plan, or for runs, which may fetch Inception's weights.

    Raises:
        BenchError: the weights file that was given does not exist.
    """
    name = request.profile
    if name == "auto":
        name = "quick" if device == "cpu" else "paper"
    profile = PROFILES[name]
    features = _features(request, profile)
    if features != "auto":
        return resolve(request, profile, features)
    if weights.find(request.fid_weights):
        return resolve(request, profile, "inception")
    classifier = resolve(request, profile, "classifier")
    plan = plan_runs(requested_runs(request, classifier), store, device)
    if all(p.state is State.DONE for p in plan):
        return classifier
    if request.mode == "plan":
        say("FID by Inception if its weights can be downloaded; planned for the classifier")
        return classifier
    try:
        weights.fetch()
    except BenchError as error:
        say(f"FID by a classifier of the data: Inception's weights are out of reach ({error})")
        return classifier
    return resolve(request, profile, "inception")


def requested_runs(request: Request, resolved: Resolved) -> list[RunSpec]:
    """Every run that was asked for.

    Raises:
        UsageError: ``--only`` matches none.
    """
    cells = [cell for table in resolved.tables for cell in table.cells]
    runs = [run for cell in cells for run in seeds(cell.run, request.seeds or 1)]
    chosen = [run for run in runs if matches(request.only, run)]
    if not chosen:
        names = ", ".join(dict.fromkeys(run.name for run in runs))
        raise UsageError(f"--only {request.only!r} matches none of {names}")
    return chosen


def matches(glob: str | None, run: RunSpec) -> bool:
    """Whether ``--only`` chooses a run, by its name or its folder's."""
    names = (run.name, run_id_of(run))
    return glob is None or any(fnmatch.fnmatchcase(name, glob) for name in names)


def cell_records(cell: Cell, records: Sequence[Record], count: int | None) -> list[Record]:
    """Finished runs of a cell: of seeds below ``count``, or of all that are cached."""
    fingerprint = dataset(cell.run.dataset).fingerprint
    found = [
        record
        for record in records
        if replace(record.spec, seed=cell.run.seed) == cell.run
        and record.data_fingerprint == fingerprint
        and (count is None or record.spec.seed < count)
    ]
    return sorted(found, key=lambda record: record.spec.seed)


def say(message: str) -> None:
    """Tell the user something that is not a result: on standard error, at once."""
    print(message, file=sys.stderr, flush=True)
