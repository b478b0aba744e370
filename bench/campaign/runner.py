"""Dispatch what is missing, and see it through: busy runs, workers that die."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.campaign.backends import Backend, alone
from bench.campaign.job import Job, WorkerSettings
from bench.campaign.plan import PlannedRun, groups
from bench.campaign.plugins import load_plugins
from bench.campaign.progress import ProgressBar
from bench.campaign.runs import identity_of
from bench.data import DATASETS, register_dataset
from bench.errors import BenchError
from bench.screen import counted
from bench.store.folders import RunFolder

# A worker that the system kills (for memory, most often) takes the pool with it. Runs resume from
# their checkpoints, so trying again is cheap; but a run may kill its worker every time. So many
# kills with no run ended between them are too many.
ATTEMPTS = 3


def run(plan: Sequence[PlannedRun], backend: Backend, progress: ProgressBar) -> bool:
    """Execute every run of a plan; what comes of it is in the store.

    Returns:
        Whether every run has come to its end; there may have been no time.

    Raises:
        BenchError: something that concerns every run is wrong, or workers keep being killed.
        KeyboardInterrupt: workers on this machine have been stopped, their checkpoints stay; those
            of a cluster finish what they have begun.
    """
    left = {planned.run_id: planned.job for planned in plan}
    killed = 0
    while left and not backend.settings.is_over():
        try:
            for folder in _run_all(left, backend, progress):
                progress.finished(folder)
                killed = 0
        except backend.killed as error:
            killed += 1
            if killed == ATTEMPTS:
                raise BenchError(
                    f"workers were killed {killed} times, most likely for want of memory, with "
                    f"{counted(len(left), 'run')} left; try --jobs {max(1, backend.jobs // 2)}"
                ) from error
            progress.line(f"a worker was killed; going on with {counted(len(left), 'run')}")
        finally:
            backend.stop()
    return not left


def _run_all(left: dict[str, Job], backend: Backend, progress: ProgressBar) -> Iterator[RunFolder]:
    """Execute what is left, taking out what has ended."""
    needs = {(job.training.dataset, job.measurements): job for job in left.values()}
    for need in needs.values():
        extractors = ", ".join(spec.extractor for spec in need.measurements)
        progress.line(
            f"looking at real images of {need.training.dataset} through {extractors}, once: takes "
            "seconds, or minutes through a large network"
        )
        # One by one: each takes all cores.
        for message in backend.results(_fetch, [need], backend.settings):
            progress.line(message)
    for wait in (False, True):
        if backend.settings.is_over():
            return
        if wait and left:
            progress.line(f"waiting for {counted(len(left), 'run')} of another process")
        turn = replace(backend.settings, wait=wait)
        together = groups(list(left.values()), turn.device, backend.jobs)
        for ended in backend.results(_execute, together, turn):
            for folder in ended:
                del left[folder.run_id]
                yield folder


def _register(settings: WorkerSettings) -> None:
    """Make the user's own methods and data known in the process that needs them."""
    load_plugins(settings.plugin)
    for found in settings.located:
        if found.name in DATASETS and DATASETS[found.name].source != found.source:
            raise _edited(found.name)
        register_dataset(found, replace=True)


def _edited(name: str) -> BenchError:
    return BenchError(
        f"{name}: a --plugin was edited since the command began; give the command again"
    )


# These import PyTorch in the worker, which needs it, and not here.
def _fetch(job: Job, settings: WorkerSettings) -> str:
    from bench.campaign.worker import fetch

    with alone():
        _register(settings)
        return fetch(job, settings)


def _execute(group: Sequence[Job], settings: WorkerSettings) -> list[RunFolder]:
    from bench.campaign.worker import execute

    with alone():
        _register(settings)
        for job in group:
            if identity_of(job.training) != job.run_id:
                raise _edited(job.training.name)
        return execute(group, settings)
