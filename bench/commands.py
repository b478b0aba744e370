"""What the command line can ask for: a plan, the missing runs, the tables."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.data import dataset
from bench.errors import BenchError, UsageError
from bench.evaluation import weights
from bench.experiments import TABLES
from bench.files import lock
from bench.hardware import core_count, gpu_count
from bench.planning import PlannedRun, plan_runs, seeds
from bench.profiles import PROFILES, Profile
from bench.spec import Cell, RunSpec, TableSpec
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
    sampler: str = "gmm10"
    device: str = "auto"
    jobs: int | None = None
    data_dir: Path = Path("data")
    runs_dir: Path = Path("runs")
    tables_dir: Path = Path("tables")
    fid_weights: Path | None = None
    keep_checkpoints: bool = False
    plugins: tuple[str, ...] = ()
    own_data: str | None = None
    mode: str = "run"


@dataclass(frozen=True)
class Resolved:
    """A request with every choice made: tables whose cells are runs."""

    profile: Profile
    features: str
    tables: Sequence[TableSpec]


def carry_out(request: Request) -> int:
    """Do what was asked and return the exit status.

    Raises:
        BenchError: it cannot be done; the message says why and what to do.
        KeyboardInterrupt: the user stopped it.
    """
    store = Store(request.runs_dir)
    device = request.device
    if device == "auto":
        device = "cuda" if gpu_count() else "cpu"
    if request.mode == "collect":
        return _tabulate(request, _most_filled(request, store), store)
    resolved = _resolve_for_run(request, store, device)
    plan = plan_runs(_runs(request, resolved), store, device)
    if request.mode == "plan":
        _print_plan(request, resolved, plan, device)
        return 0
    if request.mode in ("force", "retry_failed"):
        wanted = (State.DONE, State.FAILED) if request.mode == "force" else (State.FAILED,)
        _forget([p.run_id for p in plan if p.state in wanted], store)
        plan = plan_runs(_runs(request, resolved), store, device)
    missing = [p for p in plan if p.state in (State.TO_DO, State.STARTED)]
    if missing:
        _execute(request, resolved, missing, store, device)
    return _tabulate(request, resolved, store)


def resolve(request: Request, profile: Profile, features: str) -> Resolved:
    """Declared tables at a profile's size, with what was set by hand.

    Raises:
        UsageError: ``--set`` changes what a table varies, or nothing at all.
    """
    applied: set[str] = set()
    own = None
    if request.own_data:
        from bench.data.own import register_own

        own = register_own(request.own_data)

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


def _most_filled(request: Request, store: Store) -> Resolved:
    """What cached runs fill best; among equals, the most faithful."""
    records = list(store.records())
    candidates = [resolve(request, *candidate) for candidate in _candidates(request)]

    def filled(resolved: Resolved) -> int:
        cells = [cell for table in resolved.tables for cell in table.cells]
        return sum(bool(_records(cell, records, request.seeds)) for cell in cells)

    return max(candidates, key=filled)


def _resolve_for_run(request: Request, store: Store, device: str) -> Resolved:
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
    plan = plan_runs(_runs(request, classifier), store, device)
    if all(p.state is State.DONE for p in plan):
        return classifier
    if request.mode == "plan":
        _say("FID by Inception if its weights can be downloaded; planned for the classifier")
        return classifier
    try:
        weights.fetch()
    except BenchError as error:
        _say(f"FID by a classifier of the data: Inception's weights are out of reach ({error})")
        return classifier
    return resolve(request, profile, "inception")


def _runs(request: Request, resolved: Resolved) -> list[RunSpec]:
    """Every run that was asked for.

    Raises:
        UsageError: ``--only`` matches none.
    """
    cells = [cell for table in resolved.tables for cell in table.cells]
    runs = [run for cell in cells for run in seeds(cell.run, request.seeds or 1)]
    chosen = [run for run in runs if _matches(request.only, run)]
    if not chosen:
        names = ", ".join(dict.fromkeys(run.name for run in runs))
        raise UsageError(f"--only {request.only!r} matches none of {names}")
    return chosen


def _matches(glob: str | None, run: RunSpec) -> bool:
    return glob is None or any(fnmatch.fnmatchcase(name, glob) for name in (run.name, _run_id(run)))


def _run_id(run: RunSpec) -> str:
    return run.run_id(dataset(run.dataset).fingerprint)


def _forget(run_ids: Sequence[str], store: Store) -> None:
    """Clear runs for a new start, unless another process is at them."""
    for run_id in run_ids:
        with lock(store.lock_path(run_id), wait=False) as held:
            if held:
                store.forget(run_id)


def _execute(
    request: Request, resolved: Resolved, missing: Sequence[PlannedRun], store: Store, device: str
) -> None:
    # A request that finds everything cached answers without joblib and tqdm.
    from bench.job import Settings
    from bench.progress import Progress
    from bench.runner import run

    jobs = _jobs(request, device, len(missing))
    settings = Settings(
        runs_dir=request.runs_dir,
        data_dir=request.data_dir,
        device=device,
        threads=max(1, core_count() // jobs),
        fid_weights=request.fid_weights,
        keep_checkpoints=request.keep_checkpoints,
        plugins=request.plugins,
        own_data=request.own_data,
    )
    _say(
        f"profile {resolved.profile.name} ({resolved.profile.summary}) on {device}: "
        f"{len(missing)} runs, {jobs} at a time, "
        f"about {_duration(sum(p.seconds for p in missing) / jobs)}"
    )
    with Progress(missing, store) as progress:
        run(missing, settings, jobs, progress)


def _tabulate(request: Request, resolved: Resolved, store: Store) -> int:
    from bench.report.frame import Content
    from bench.report.tables import write_table

    records = list(store.records())
    any_seed = request.mode == "collect" and request.seeds is None
    failures = 0
    written: list[Path] = []
    for table in resolved.tables:
        wanted = {
            cell.label: [
                run for run in seeds(cell.run, request.seeds or 1) if _matches(request.only, run)
            ]
            for cell in table.cells
        }
        measured = {cell.label: _records(cell, records, request.seeds) for cell in table.cells}
        missing = [
            f"{table.axis} {label}: {reason}"
            for label, runs in wanted.items()
            for reason in _missing(runs, measured[label], any_seed, store)
        ]
        profile = ", ".join(
            [resolved.profile.name, *(f"{k}={v}" for k, v in request.overrides.items())]
        )
        content = Content(table, measured, missing, request.sampler, profile)
        text, paths = write_table(content, request.tables_dir)
        print(text)
        written += paths
        failures += len(missing)
    _say(f"written: {', '.join(map(str, written))}")
    return 1 if failures else 0


def _records(cell: Cell, records: Sequence[Record], count: int | None) -> list[Record]:
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


def _missing(
    runs: Sequence[RunSpec], records: Sequence[Record], any_seed: bool, store: Store
) -> Iterator[str]:
    """Why requested runs of a cell have no record."""
    done = {record.run_id for record in records}
    for run in [] if any_seed and records else runs:
        run_id = _run_id(run)
        if run_id in done:
            continue
        failure = store.failure(run_id)
        reason = f"failed ({failure.reason})" if failure else "not run"
        try:
            store.record(run_id)
        except BenchError as error:
            reason = str(error)
        yield f"{run.name} {reason}"


def _print_plan(
    request: Request, resolved: Resolved, plan: Sequence[PlannedRun], device: str
) -> None:
    left = [p for p in plan if p.state in (State.TO_DO, State.STARTED)]
    print(f"profile {resolved.profile.name} ({resolved.profile.summary}) on {device}")
    width = max(len(p.run_id) for p in plan)
    for p in plan:
        steps = f"{p.spec.steps - p.steps_done:,} steps, about {_duration(p.seconds)}"
        rest = {State.DONE: "", State.FAILED: p.reason}.get(p.state, steps)
        print(f"  {p.run_id:{width}}  {p.state:7}  {rest}".rstrip())
    jobs = _jobs(request, device, len(left))
    counts = [f"{sum(p.state is state for p in plan)} {state}" for state in State]
    seconds = sum(p.seconds for p in left) / jobs
    print(f"{', '.join(counts)}; about {_duration(seconds)} with {jobs} jobs")


def _jobs(request: Request, device: str, runs: int) -> int:
    return max(1, min(request.jobs or (core_count() if device == "cpu" else 1), runs))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
