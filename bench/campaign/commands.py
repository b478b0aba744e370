"""What the command line can ask for: a plan, the missing runs, the outputs."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf, isnan

from bench.campaign.choose import Chosen, choose, find_again, requested_jobs
from bench.campaign.plan import LACKS_WEIGHTS, Estimate, PlannedRun, State, plan_runs
from bench.campaign.render import render
from bench.campaign.request import Request
from bench.campaign.runs import every_result, identity_of, jobs_of, result_of, seeds_shown
from bench.data import dataset
from bench.errors import BenchError, UsageError
from bench.machine import core_count, gpu_count
from bench.screen import counted, say, show
from bench.store.folders import Runs, Store
from bench.store.housekeeping import collect_garbage, status_lines


def carry_out(request: Request) -> int:
    """Do what was asked and return the exit status.

    Raises:
        BenchError: it cannot be done; the message says why and what to do.
        KeyboardInterrupt: the user stopped it.
    """
    store = Store(request.worker.runs_dir)
    if request.mode in ("collect", "status", "gc", "verify", "export") and not store.root.exists():
        raise BenchError(f"--runs-dir {store.root}: no such folder")
    runs = store.read()
    if request.mode in ("status", "gc"):
        lines = status_lines(runs, store)
        if request.mode == "gc":
            lines = collect_garbage(runs, store, request.weights_of)
        for line in lines:
            show(line)
        return 0
    for complaint in filter(None, (folder.complaint for folder in runs.values())):
        say(f"left out, {complaint} (whatever trains or measures that run again sets it aside)")
    if request.mode == "collect":
        chosen, left_out = choose(request, runs, store.cache, "cpu")
        for line in left_out:
            say(line)
        return render(request, chosen, runs)
    if request.export is not None:
        from bench.report.export import export

        count = export(every_result(runs), request.display, request.export)
        say(f"written: {request.export}, {counted(count, 'run')}")
        return 0
    device = _usable_device(request)
    if request.verify is not None:
        return _verify(request, runs, store, device)
    return _run(request, runs, store, device)


def _run(request: Request, runs: Runs, store: Store, device: str) -> int:
    """Plan, run what is missing unless the plan is all that was asked for, and render."""
    chosen, absent = choose(request, runs, store.cache, device)
    jobs = requested_jobs(request, chosen)
    insist = bool(request.display.extractors)
    estimate = Estimate(runs.values(), device)
    retry = request.mode == "retry_failed"
    plan = plan_runs(jobs, runs, store, estimate, insist=insist, retry=retry)
    lines = [*absent, *_of_lost_weights(plan)]
    if request.mode == "plan":
        for line in (f"{_profiles(request, chosen)} on {device}", *lines):
            show(line)
        _show_plan(request, plan, device)
        return 0
    for line in lines:
        say(line)
    if request.mode == "force":
        # A worker forgets a run that is forced when it begins with it, and not before.
        plan = plan_runs(jobs, Runs(store.root), store, estimate, insist=insist, since=inf)
    missing = [p for p in plan if p.state not in (State.DONE, State.FAILED)]
    if failed := [p.run_id for p in plan if p.state is State.FAILED]:
        say(f"failed before: {', '.join(failed)}; --retry-failed runs them once more")
    whole = True
    if missing:
        say(f"{_profiles(request, chosen)} on {device}")
        whole = _execute(request, missing, store, device=device)
        # Other processes may have ended runs meanwhile.
        runs = store.read()
        if not whole:
            say(f"stopped by --stop-after; {going_on(request.mode)}")
    else:
        say(_of_cached(request, chosen, runs))
    status = render(request, chosen, runs)
    return status if whole else 3


def going_on(mode: str) -> str:
    """What a command that was stopped can be followed by."""
    if mode != "force":
        return "the same command goes on from the checkpoints"
    return (
        "the same command without --force goes on from the checkpoints, and leaves runs that had "
        "not begun anew as they were"
    )


def _profiles(request: Request, chosen: Sequence[Chosen]) -> str:
    """The profiles of tables and figures, each with its one line, and the settings over them."""
    names: dict[str, list[str]] = {}
    settings = "".join(f", {name}={value}" for name, value in request.overrides.items())
    for each in chosen:
        profile = f"profile {each.profile.name} ({each.profile.summary}){settings}"
        names.setdefault(profile, []).append(each.name)
    if len(names) == 1:
        return next(iter(names))
    return "; ".join(f"{', '.join(of)}: {profile}" for profile, of in names.items())


def _of_cached(request: Request, chosen: Sequence[Chosen], runs: Runs) -> str:
    """One line on where the numbers come from of which none is new."""
    cells = (cell for each in chosen for cell in each.table.cells)
    jobs = jobs_of(cells, seeds_shown(request.seeds, runs))
    shown = [result.trained for job in jobs if (result := result_of(job, runs[job.run_id]))]
    ends = (datetime.fromtimestamp(record.timing["finished"], UTC) for record in shown)
    days = sorted({f"{end:%Y-%m-%d}" for end in ends})
    commits = sorted({str(record.provenance["commit"])[:8] for record in shown})
    made = ""
    if shown:
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        by = f"commit {commits[0]}" if len(commits) == 1 else f"{len(commits)} commits"
        made = f" (trained {when}, {by})"
    return (
        f"nothing trained: {counted(len(shown), 'run')} read from {request.worker.runs_dir}{made}; "
        "another --runs-dir trains runs of your own"
    )


def _usable_device(request: Request) -> str:
    """The device to run on, tried before anything is planned, trained or fetched.

    ``auto`` is a GPU that can be computed on, else the CPU. What a cluster's workers have is not
    known here.

    Raises:
        UsageError: a GPU was asked for that cannot.
    """
    asked, count = request.worker.device, gpu_count()
    device = ("cuda" if count else "cpu") if asked == "auto" else asked
    kind, _, index = device.partition(":")
    if kind != "cuda" or request.scheduler:
        return device
    if int(index or 0) >= count:
        raise UsageError(
            f"--device {device}: PyTorch finds {counted(count, 'GPU')} here; use --device cpu, or "
            "install a CUDA build of PyTorch and a driver for it"
        )
    # Only a computation shows whether the GPU works. Imported here, since it takes seconds.
    import torch

    from bench.device import why_unusable

    reason = why_unusable(torch.device(device))
    if not reason:
        return device
    if asked == "auto":
        say(f"on the CPU, since the GPU cannot be used: {reason}")
        return "cpu"
    raise UsageError(f"--device {device}: {reason}; use --device cpu")


def _of_lost_weights(plan: Sequence[PlannedRun]) -> Iterator[str]:
    """Lines on runs without weights: those trained again for them, those that stay unmeasured."""
    lost = [p for p in plan if p.reason == LACKS_WEIGHTS]
    if lost:
        seconds = sum(p.training_seconds for p in lost)
        yield (
            f"trained, but without weights here to measure: {', '.join(p.run_id for p in lost)}; "
            f"training them again takes {_duration(seconds)} of one worker"
        )
    unseen = [p for p in plan if p.unmeasured]
    if unseen:
        names = list(dict.fromkeys(name for p in unseen for name in p.unmeasured))
        yield (
            f"not measured by {', '.join(names)}, since their weights are not here: "
            f"{counted(len(unseen), 'finished run')}; --extractor {names[0]} trains them again"
        )


def _verify(request: Request, runs: Runs, store: Store, device: str) -> int:
    """Run one run anew and print what is otherwise; status 1 where anything is."""
    from bench.campaign.verify import differences, run_named

    result = run_named(every_result(runs), str(request.verify))
    data = find_again(request, result.trained, store.cache)
    if identity_of(result.spec) != result.run_id:
        raise UsageError(f"--verify {result.run_id}: its --plugin is not given, or was edited")
    threads = int(result.trained.provenance["threads"])
    settings = replace(request.worker, device=device, threads=threads, located=(data,))
    say(f"running {result.run_id} once more on {device}, {counted(threads, 'thread')}")
    found = list(differences(result, store, settings))
    for line in found:
        show(f"{result.run_id}: {line}")
    if not found:
        show(f"{result.run_id}: the same to the last bit, times apart")
    return 1 if found else 0


def _execute(request: Request, missing: Sequence[PlannedRun], store: Store, *, device: str) -> bool:
    """Run what is missing; tell whether all of it has come to its end."""
    # A request that finds everything cached answers without joblib and tqdm.
    from bench.campaign.backends import loky
    from bench.campaign.cluster import cluster
    from bench.campaign.progress import ProgressBar
    from bench.campaign.runner import run

    jobs = _workers(request, device, len(missing))
    settings = replace(
        request.worker,
        device=device,
        # What cores the machines of a cluster have is not known here.
        threads=1 if request.scheduler else max(1, core_count() // jobs),
        located=tuple(map(dataset, sorted({p.job.training.dataset for p in missing}))),
        stop_at=time.time() + 60 * request.stop_after if request.stop_after else inf,
        anew_since=time.time() if request.mode == "force" else 0.0,
        retried_since=time.time() if request.mode == "retry_failed" else 0.0,
    )
    with contextlib.ExitStack() as stack:
        if request.scheduler:
            backend = stack.enter_context(cluster(settings, request.scheduler))
        else:
            backend = loky(settings, jobs)
        together = min(backend.jobs, len(missing))
        seconds = sum(p.training_seconds + p.measuring_seconds for p in missing) / together
        sizes = f"{counted(len(missing), 'run')} with {counted(together, 'job')}"
        say(f"{sizes}: {_duration(seconds)}")
        bar = stack.enter_context(ProgressBar(missing, store, request.display))
        return run(missing, backend, bar)


def _show_plan(request: Request, plan: Sequence[PlannedRun], device: str) -> None:
    left = [p for p in plan if p.state not in (State.DONE, State.FAILED)]
    width = max((len(p.run_id) for p in plan), default=0)
    for p in plan:
        state, rest = _described(p)
        show(f"  {p.run_id:{width}}  {state:31}  {rest}".rstrip())
    jobs = _workers(request, device, len(left))
    counts = [f"{sum(p.state is state for p in plan)} {state}" for state in State]
    training = _duration(sum(p.training_seconds for p in left) / jobs)
    measuring = _duration(sum(p.measuring_seconds for p in left) / jobs)
    estimates = f"training {training}, measuring {measuring} with {counted(jobs, 'job')}"
    show(f"{'; '.join(counts)}: {estimates}")


def _described(planned: PlannedRun) -> tuple[str, str]:
    """How far a run is, and what is left of it or why it failed."""
    state: str = planned.state
    if planned.state in (State.DONE, State.FAILED):
        return state, planned.reason
    measuring = f"measuring {_duration(planned.measuring_seconds)}"
    if planned.state is State.TRAINED:
        return state, measuring
    if planned.state is State.STARTED:
        state = f"started at step {planned.steps_done:,} of {planned.job.training.steps:,}"
    reason = f" ({planned.reason})" * bool(planned.reason)
    return state, f"training {_duration(planned.training_seconds)}, {measuring}{reason}"


def _workers(request: Request, device: str, runs: int) -> int:
    return max(1, min(request.jobs or (core_count() if device == "cpu" else 1), runs))


def _duration(seconds: float) -> str:
    """An estimate in words; it is unknown where no such run has ended here."""
    if isnan(seconds):
        return "unknown time"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"
