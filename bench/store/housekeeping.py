"""What a runs folder holds, and what of it can go: ``--status`` and ``--gc``."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.files import is_locked, temporaries
from bench.store.folders import RunFolder, Store


@dataclass(frozen=True)
class RunStatus:
    """One run's folder.

    Attributes:
        run_id: its name.
        state: ``measured``, ``trained``, ``failed``, ``started``, ``empty``, ``damaged``, or
            ``running`` where a process is working on it.
        size: of its files, in bytes.
        note: why it failed or cannot be trusted, or how far it is.
    """

    run_id: str
    state: str
    size: int
    note: str = ""


def statuses(folders: Mapping[str, RunFolder], store: Store) -> Iterator[RunStatus]:
    """Every run that has a folder, by name."""
    for run_id, folder in folders.items():
        state, note = _state(folder)
        if is_locked(store.lock_path(run_id)):
            state = "running"
        if state in ("started", "running"):
            note = f"{store.steps_done(run_id):,} steps"
        yield RunStatus(run_id, state, _size(store.folder(run_id)), note)


def _state(folder: RunFolder) -> tuple[str, str]:
    if folder.damage:
        return "damaged", str(folder.damage[0])
    if folder.failure is not None:
        return "failed", folder.failure.reason
    if folder.measured:
        return "measured", "" if folder.has_weights else "without its weights"
    if folder.trained is not None:
        return "trained", "" if folder.has_weights else "without its weights"
    return ("started", "") if folder.has_checkpoint else ("empty", "")


def status_lines(folders: Mapping[str, RunFolder], store: Store) -> Iterator[str]:
    """The same as text, and in sum."""
    found = list(statuses(folders, store))
    width = max((len(run.run_id) for run in found), default=0)
    for run in found:
        line = f"{run.run_id:{width}}  {run.state:8}  {_megabytes(run.size):>9}  {run.note}"
        yield line.rstrip()
    counts = Counter(run.state for run in found)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    weights, checkpoints = (
        _megabytes(sum(path.stat().st_size for path in store.root.glob(f"*/{name}.pt")))
        for name in ("weights", "checkpoint")
    )
    yield (
        f"{len(found)} runs in {store.root}{': ' if states else ''}{states}; "
        f"{_megabytes(sum(run.size for run in found))}, of which weights {weights}, "
        f"checkpoints {checkpoints}; shared cache {_megabytes(_size(store.cache))}"
    )


@dataclass(frozen=True)
class Garbage:
    """A file that can go, and why."""

    path: Path
    reason: str


def garbage(
    folders: Mapping[str, RunFolder],
    store: Store,
    outputs: Mapping[Path, tuple[str, ...]],
    weights_of: str | None = None,
) -> Iterator[Garbage]:
    """Checkpoints of runs that have ended, and temporary files whose writers are gone.

    Whatever else lies in the folders is not the suite's, and stays: files under other names, in
    folders below, and weights without a record beside them.

    Args:
        folders: the runs; a checkpoint that an unfinished run goes on from stays.
        store: where they are.
        outputs: folders that outputs are written to, and the endings of what is written there.
        weights_of: a pattern of runs whose weights are to go too; None for no weights.
    """
    for run_id, folder in folders.items():
        if is_locked(store.lock_path(run_id)):
            continue
        if folder.has_checkpoint and (folder.trained is not None or folder.failure is not None):
            ended = "trained" if folder.trained is not None else "failed"
            yield Garbage(store.checkpoint(run_id), f"its run is {ended}")
        known = folder.trained is not None or folder.failure is not None
        if known and folder.has_weights and weights_of and fnmatch.fnmatchcase(run_id, weights_of):
            yield Garbage(store.weights(run_id), "asked for by --weights-of")
    runs = (store.folder(run_id) for run_id, folder in folders.items() if _is_run(folder))
    caches = (store.cache, *store.cache.glob("images-*"))
    for place, endings in (
        dict.fromkeys(runs, _RUN) | dict.fromkeys(caches, _CACHE) | dict(outputs)
    ).items():
        for path in temporaries(place, endings):
            # Writers hold a lock on what they write.
            if path.is_file() and not is_locked(path):
                yield Garbage(path, "left by a process that is gone")


# Endings of what the suite writes into a run's folder, and into what runs share.
_RUN, _CACHE = (".json", ".jsonl", ".npz", ".pt"), (".json", ".npy", ".pt")


def _is_run(folder: RunFolder) -> bool:
    """Whether a folder has anything that tells that it is a run's."""
    return folder.has_checkpoint or folder.trained is not None or folder.failure is not None


def collect_garbage(found: Sequence[Garbage], store: Store) -> Iterator[str]:
    """List what can go and the weights that stay, then remove what can go.

    Args:
        found: see :func:`garbage`.
        store: where the weights are that stay.

    Raises:
        BenchError: a file cannot be removed.
    """
    sizes = [each.path.stat().st_size for each in found]
    for each, size in zip(found, sizes, strict=True):
        yield f"{_megabytes(size):>9}  {each.path} ({each.reason})"
    for each in found:
        try:
            each.path.unlink(missing_ok=True)
        except OSError as error:
            raise BenchError(f"cannot remove {each.path}: {error.strerror}") from error
    weights = sorted(store.root.glob("*/weights.pt"))
    for path in weights:
        yield f"{_megabytes(path.stat().st_size):>9}  {path} (kept)"
    checkpoints = len(list(store.root.glob("*/checkpoint.pt")))
    yield (
        f"removed {len(found)} files, {_megabytes(sum(sizes))}; kept {checkpoints} checkpoints of "
        f"unfinished runs and the weights of {len(weights)} runs (--weights-of PATTERN removes "
        "them)"
    )


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
