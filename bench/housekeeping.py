"""What a runs folder holds, and what of it can go: ``--status`` and ``--gc``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.files import TEMPORARY, is_locked
from bench.store import State, Store


@dataclass(frozen=True)
class RunStatus:
    """One run's folder.

    Attributes:
        run_id: its name.
        state: what the store knows of it, ``running`` where a process is at it, or ``damaged``.
        size: of its files, in bytes.
        note: why it failed or cannot be trusted, or how far it is.
    """

    run_id: str
    state: str
    size: int
    note: str = ""


def statuses(store: Store) -> Iterator[RunStatus]:
    """Every run that has a folder, by name."""
    for folder in sorted(path for path in store.root.glob("*") if path.is_dir()):
        run_id = folder.name
        if folder == store.cache:
            continue
        state, note = str(store.state(run_id)), ""
        try:
            store.record(run_id)
        except BenchError as error:
            state, note = "damaged", str(error)
        failure = store.failure(run_id)
        if state == State.FAILED and failure is not None:
            note = failure.reason
        if is_locked(store.lock_path(run_id)):
            state = "running"
        if state in (State.STARTED, "running"):
            note = f"{store.steps_done(run_id):,} steps"
        yield RunStatus(run_id, state, _size(folder), note)


def status_lines(store: Store) -> Iterator[str]:
    """The same as text, and in sum."""
    found = list(statuses(store))
    width = max((len(run.run_id) for run in found), default=0)
    for run in found:
        line = f"{run.run_id:{width}}  {run.state:7}  {_megabytes(run.size):>9}  {run.note}"
        yield line.rstrip()
    counts = Counter(run.state for run in found)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    checkpoints = sum(path.stat().st_size for path in store.root.glob("*/checkpoint.pt"))
    yield (
        f"{len(found)} runs in {store.root}{': ' if states else ''}{states}; "
        f"{_megabytes(sum(run.size for run in found))}, of which checkpoints "
        f"{_megabytes(checkpoints)}; shared cache {_megabytes(_size(store.cache))}"
    )


@dataclass(frozen=True)
class Garbage:
    """A file that nothing needs any more, and why."""

    path: Path
    reason: str


def garbage(store: Store, folders: Iterable[Path]) -> Iterator[Garbage]:
    """Checkpoints of runs that have ended, and temporary files whose writers are gone.

    Args:
        store: the runs; a checkpoint that an unfinished run goes on from stays.
        folders: where outputs are written; they may hold temporary files, as the store may.
    """
    for path in sorted(store.root.glob("*/checkpoint.pt")):
        run_id = path.parent.name
        state = store.state(run_id)
        if state in (State.DONE, State.FAILED) and not is_locked(store.lock_path(run_id)):
            yield Garbage(path, f"its run is {state}")
    for folder in (store.root, *folders):
        for path in sorted(folder.rglob(TEMPORARY)):
            # Writers hold a lock on what they write.
            if path.is_file() and not is_locked(path):
                yield Garbage(path, "left by a process that is gone")


def collect_garbage(store: Store, folders: Iterable[Path]) -> Iterator[str]:
    """List what can go, then remove it.

    Raises:
        BenchError: a file cannot be removed.
    """
    found = list(garbage(store, folders))
    sizes = [each.path.stat().st_size for each in found]
    for each, size in zip(found, sizes, strict=True):
        yield f"{_megabytes(size):>9}  {each.path} ({each.reason})"
    for each in found:
        try:
            each.path.unlink(missing_ok=True)
        except OSError as error:
            raise BenchError(f"cannot remove {each.path}: {error.strerror}") from error
    kept = len(list(store.root.glob("*/checkpoint.pt")))
    yield (
        f"removed {len(found)} files, {_megabytes(sum(sizes))}; kept {kept} checkpoints of "
        "unfinished runs"
    )


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
