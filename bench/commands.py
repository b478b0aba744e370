"""What the command line can ask for: a plan, the missing runs, the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.files import lock
from bench.hardware import core_count, gpu_count
from bench.planning import PlannedRun, plan_runs, run_id_of, seeds
from bench.resolve import (
    Request,
    Resolved,
    cell_records,
    matches,
    most_filled,
    requested_runs,
    resolve_for_run,
    say,
)
from bench.spec import RunSpec, TableSpec
from bench.store import Record, State, Store

if TYPE_CHECKING:
    from bench.report.claims import Verdict
    from bench.report.frame import Content


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
    if request.export is not None:
        from bench.report.export import export

        count = export(store.records(), request.export)
        say(f"written: {request.export}, {count} runs")
        return 0
    if request.mode == "collect":
        return _render(request, most_filled(request, store), store)
    resolved = resolve_for_run(request, store, device)
    plan = plan_runs(requested_runs(request, resolved), store, device)
    if request.mode == "plan":
        _print_plan(request, resolved, plan, device)
        return 0
    for line in resolved.data.absent:
        say(line)
    if request.mode in ("force", "retry_failed"):
        wanted = (State.DONE, State.FAILED) if request.mode == "force" else (State.FAILED,)
        _forget([p.run_id for p in plan if p.state in wanted], store)
        plan = plan_runs(requested_runs(request, resolved), store, device)
    missing = [p for p in plan if p.state in (State.TO_DO, State.STARTED)]
    if missing:
        _execute(request, resolved, missing, store, device)
    return _render(request, resolved, store)


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
        located=tuple(resolved.data.used.values()),
    )
    say(
        f"profile {resolved.profile.name} ({resolved.profile.summary}) on {device}: "
        f"{len(missing)} runs, {jobs} at a time, "
        f"about {_duration(sum(p.seconds for p in missing) / jobs)}"
    )
    with Progress(missing, store) as progress:
        run(missing, settings, jobs, progress)


def _render(request: Request, resolved: Resolved, store: Store) -> int:
    """Write the tables and figures; status 1 where something of them is missing."""
    from bench.report.claims import claims_markdown, judge
    from bench.report.tables import write_table

    records = list(store.records())
    missing = len(request.tables) - len(resolved.tables)
    missing += len(request.figures) - len(resolved.figures)
    written: list[Path] = []
    verdicts: list[Verdict] = []
    for table in resolved.tables:
        content = _content(request, resolved, table, records, store)
        text, paths = write_table(content, request.tables_dir)
        print(text)
        written += paths
        missing += len(content.missing)
        if request.claims:
            verdicts += judge(content)
    if request.claims:
        print(claims_markdown(verdicts))
    for figure, table in resolved.figures:
        # Matplotlib takes a second to import.
        from bench.report.figures import write_figure

        content = _content(request, resolved, table, records, store)
        written += write_figure(figure, content, store, request.figures_dir)
        missing += len(content.missing)
    say(f"written: {', '.join(map(str, written))}")
    return 1 if missing else 0


def _content(
    request: Request, resolved: Resolved, table: TableSpec, records: Sequence[Record], store: Store
) -> Content:
    from bench.report.frame import Content

    any_seed = request.mode == "collect" and request.seeds is None
    measured = {cell: cell_records(cell, records, request.seeds) for cell in table.cells}
    missing = []
    for cell in table.cells:
        wanted = [run for run in seeds(cell.run, request.seeds or 1) if matches(request.only, run)]
        place = f"{cell.row}, {table.axis}" if cell.row else table.axis
        reasons = _missing(wanted, measured[cell], any_seed, store)
        missing += [f"{place} {cell.label}: {reason}" for reason in reasons]
    profile = ", ".join(
        [resolved.profile.name, *(f"{k}={v}" for k, v in request.overrides.items())]
    )
    return Content(table, measured, missing, request.sampler, profile)


def _missing(
    runs: Sequence[RunSpec], records: Sequence[Record], any_seed: bool, store: Store
) -> Iterator[str]:
    """Why requested runs of a cell have no record."""
    done = {record.run_id for record in records}
    for run in [] if any_seed and records else runs:
        run_id = run_id_of(run)
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
    for line in resolved.data.absent:
        print(line)
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
