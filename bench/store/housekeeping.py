"""What a runs folder holds, and what of it can go: ``--status`` and ``--gc``."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from bench.errors import refused
from bench.files import is_locked, lock, temporaries
from bench.screen import counted
from bench.store.folders import RunFolder, Runs, Store

# Endings of what the suite writes into a run's folder, and into what runs share.
_RUN, _CACHE = (".json", ".jsonl", ".npz", ".pt"), (".json", ".npy", ".pt")


def status_lines(runs: Runs, store: Store) -> Iterator[str]:
    """One line for each run's folder, its state, size and what is to be said of it; then the sums.

    A run is ``measured``, ``trained``, ``failed``, ``started``, ``empty``, ``damaged``, or
    ``running`` where a process is working on it.
    """
    counts: Counter[str] = Counter()
    total = 0
    width = max(map(len, runs), default=0)
    for run_id, folder in runs.items():
        state, note = _state(folder)
        if is_locked(store.lock_path(run_id)):
            state = "running"
        if state in ("started", "running"):
            note = f"{store.steps_done(run_id):,} steps"
        size = _size(store.folder(run_id))
        counts[state] += 1
        total += size
        yield f"{run_id:{width}}  {state:8}  {_megabytes(size):>9}  {note}".rstrip()
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    weights, checkpoints = (
        _megabytes(sum(map(_bytes, store.root.glob(f"*/{name}.pt"))))
        for name in ("weights", "checkpoint")
    )
    yield (
        f"{counted(len(runs), 'run')} in {store.root}{': ' if states else ''}{states}; "
        f"{_megabytes(total)}, of which weights {weights}, checkpoints {checkpoints}; "
        f"shared cache {_megabytes(_size(store.cache))}"
    )


def _state(folder: RunFolder) -> tuple[str, str]:
    if folder.damage:
        return "damaged", str(folder.damage[0])
    if folder.failure is not None:
        return "failed", folder.failure.reason
    if folder.trained is not None:
        state = "measured" if folder.measured else "trained"
        return state, "" if folder.has_weights else "without its weights"
    return ("started", "") if folder.has_checkpoint else ("empty", "")


def _garbage(
    runs: Runs,
    store: Store,
    outputs: Iterable[tuple[Path, tuple[str, ...]]],
    weights_of: str | None,
) -> Iterator[tuple[Path, str]]:
    shared = (store.cache, *store.cache.glob("images-*"))
    places: list[tuple[Path, tuple[str, ...]]] = [*((each, _CACHE) for each in shared), *outputs]
    for run_id, folder in runs.items():
        ended = "trained" if folder.trained else "failed" if folder.failure else ""
        if ended or folder.has_checkpoint or (folder.path / "spec.json").is_file():
            places.append((store.folder(run_id), _RUN))
        if not ended or is_locked(store.lock_path(run_id)):
            continue
        asked = weights_of is not None and fnmatch.fnmatchcase(run_id, weights_of)
        reason = "asked for by --weights-of" if asked else "its run failed"
        if folder.has_checkpoint and (asked or not folder.trained):
            yield store.checkpoint(run_id), reason
        if folder.has_weights and asked:
            yield store.weights(run_id), reason
    for place, endings in places:
        for path in temporaries(place, endings):
            # Writers hold a lock on what they write.
            if path.is_file() and not is_locked(path):
                yield path, "left by a process that is gone"


def collect_garbage(
    runs: Runs,
    store: Store,
    outputs: Iterable[tuple[Path, tuple[str, ...]]],
    weights_of: str | None,
) -> Iterator[str]:
    """List what can go and the weights that stay, then remove what can go.

    That is checkpoints of failed runs and what dead writers left. Whatever else lies in the folders
    is not the suite's, and stays: files under other names, in folders below, and weights without a
    record beside them. A checkpoint that training can go on from stays, too.

    Outputs are folders that are written to, with the endings of what is written there. Weights and
    checkpoints of runs that match the pattern ``weights_of`` go, too.

    Raises:
        BenchError: a file cannot be removed.
    """
    found = dict(_garbage(runs, store, outputs, weights_of))
    sizes = {path: _bytes(path) for path in found}
    for path, reason in found.items():
        yield f"{_megabytes(sizes[path]):>9}  {path} ({reason})"
    for path in found:
        # Whoever has begun to work on a run meanwhile needs its files.
        owner = lock(store.lock_path(path.parent.name), wait=False)
        with owner if path.parent.parent == store.root else nullcontext(True) as held:
            if held:
                _remove(path)
    weights = sorted(store.root.glob("*/weights.pt"))
    for path in weights:
        yield f"{_megabytes(_bytes(path)):>9}  {path} (kept)"
    checkpoints = len(list(store.root.glob("*/checkpoint.pt")))
    yield (
        f"removed {counted(len(found), 'file')}, {_megabytes(sum(sizes.values()))}; kept "
        f"{counted(checkpoints, 'checkpoint')} and the weights of {counted(len(weights), 'run')} "
        "(--weights-of PATTERN removes both)"
    )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(f"cannot remove {path}", error) from error


def _size(folder: Path) -> int:
    return sum(map(_bytes, folder.rglob("*")))


def _bytes(path: Path) -> int:
    """Size of a file; 0 of a folder, and of what another process has removed or renamed."""
    try:
        return path.lstat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
