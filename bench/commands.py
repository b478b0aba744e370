"""What the command line can ask for: a plan, the missing runs, the outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bench.data import Dataset
from bench.events import require_tensorboard
from bench.files import lock
from bench.hardware import core_count, gpu_count
from bench.housekeeping import collect_garbage, status_lines
from bench.job import Settings
from bench.planning import PlannedRun, plan_runs
from bench.render import render
from bench.resolve import (
    Request,
    Resolved,
    find_again,
    most_filled,
    requested_runs,
    resolve_for_run,
    say,
)
from bench.store import State, Store


def carry_out(request: Request) -> int:
    """Do what was asked and return the exit status.

    Raises:
        BenchError: it cannot be done; the message says why and what to do.
        KeyboardInterrupt: the user stopped it.
    """
    if request.tensorboard:
        require_tensorboard()
    store = Store(request.runs_dir)
    if request.mode in ("status", "gc"):
        return _tidy(request, store)
    if request.mode == "collect":
        records = list(store.records())
        return render(request, most_filled(request, store, records), records, store)
    if request.export is not None:
        from bench.report.export import export

        count = export(store.records(), request.export)
        say(f"written: {request.export}, {count} runs")
        return 0
    device = request.device
    if device == "auto":
        device = "cuda" if gpu_count() else "cpu"
    if request.verify is not None:
        return _verify(request, store, device)
    return _run(request, store, device)


def _tidy(request: Request, store: Store) -> int:
    """List the runs folder, or clear it of what nothing needs."""
    outputs = (request.tables_dir, request.figures_dir)
    lines = status_lines(store) if request.mode == "status" else collect_garbage(store, outputs)
    for line in lines:
        print(line)
    return 0


def _run(request: Request, store: Store, device: str) -> int:
    """Plan, run what is missing unless the plan is all that was asked for, and render."""
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
    return render(request, [resolved], list(store.records()), store)


def _verify(request: Request, store: Store, device: str) -> int:
    """Run one run anew and print what is otherwise; status 1 where anything is."""
    from bench.verify import differences, find

    record = find(store, str(request.verify))
    data = find_again(request, record, store.cache)
    threads = int(record.provenance["threads"])
    settings = _settings(request, device, threads, (data,))
    say(f"running {record.run_id} once more on {device}, {threads} threads")
    found = list(differences(record, store, settings))
    for line in found:
        print(f"{record.run_id}: {line}")
    if not found:
        print(f"{record.run_id}: the same to the last bit, times apart")
    return 1 if found else 0


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
    from bench.backends import dask, loky
    from bench.progress import Progress
    from bench.runner import run

    jobs = _jobs(request, device, len(missing))
    # What cores the machines of a running cluster have is not known here.
    threads = 1 if request.scheduler else max(1, core_count() // jobs)
    settings = _settings(request, device, threads, tuple(resolved.data.used.values()))
    with contextlib.ExitStack() as stack:
        if request.backend == "dask":
            backend = stack.enter_context(dask(settings, jobs, request.scheduler))
        else:
            backend = loky(settings, jobs)
        seconds = sum(p.seconds for p in missing) / min(backend.jobs, len(missing))
        say(
            f"profile {resolved.profile.name} ({resolved.profile.summary}) on {device}: "
            f"{len(missing)} runs, {backend.jobs} at a time, about {_duration(seconds)}"
        )
        run(missing, backend, store, stack.enter_context(Progress(missing, store)))


def _settings(
    request: Request, device: str, threads: int, located: tuple[Dataset, ...]
) -> Settings:
    return Settings(
        runs_dir=request.runs_dir,
        data_dir=request.data_dir,
        device=device,
        threads=threads,
        stack=request.stack,
        fid_weights=request.fid_weights,
        keep_checkpoints=request.keep_checkpoints,
        tensorboard=request.tensorboard,
        plugins=request.plugins,
        located=located,
    )


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
