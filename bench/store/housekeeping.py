"""What a runs folder holds, and what of it can go: ``--status`` and ``--gc``."""

import fnmatch
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.errors import refused
from bench.files import TEMPORARY, is_locked, lock, temporaries
from bench.screen import counted
from bench.store.folders import RunFolder, Runs, Store


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
        _megabytes(sum(map(_bytes, map(where, runs))))
        for where in (store.weights, store.checkpoint)
    )
    yield (
        f"{counted(len(runs), 'run')} in {store.root}{': ' if states else ''}{states}; "
        f"{_megabytes(total)}, of which weights {weights}, checkpoints {checkpoints}; "
        f"shared cache {_megabytes(_size(store.cache))}"
    )


def _state(folder: RunFolder) -> tuple[str, str]:
    if folder.complaint:
        return "damaged", folder.complaint
    if folder.failure is not None:
        return "failed", folder.failure.reason
    if folder.trained is not None:
        state = "measured" if folder.measured else "trained"
        return state, "" if folder.has_weights else "without its weights"
    return ("started", "") if folder.has_checkpoint else ("empty", "")


def _of_run(folder: RunFolder, store: Store, weights_of: str | None) -> Iterator[tuple[Path, str]]:
    """What can go of a run that nobody is working on, and why."""
    run_id = folder.run_id
    if not (folder.trained or folder.failure):
        return
    asked = weights_of is not None and fnmatch.fnmatchcase(run_id, weights_of)
    reason = "asked for by --weights-of" if asked else "its run failed"
    # Where measuring failed, a damaged record can be had again from the checkpoint.
    failed = folder.failure is not None and folder.failure.measurement is None
    if folder.has_checkpoint and (asked or (failed and not folder.trained)):
        yield store.checkpoint(run_id), reason
    if folder.has_weights and asked:
        yield store.weights(run_id), reason


def _garbage(runs: Runs, store: Store, weights_of: str | None) -> Iterator[tuple[Path, str]]:
    for run_id, folder in runs.items():
        if not is_locked(store.lock_path(run_id)):
            yield from _of_run(folder, store, weights_of)
    shared = (store.cache, *store.cache.glob("images-*"))
    for place in (*shared, *(folder.path for folder in runs.values())):
        # Writers hold a lock on what they write.
        for path in temporaries(place):
            if path.is_file() and not is_locked(path):
                yield path, "left by a process that is gone"


def collect_garbage(runs: Runs, store: Store, weights_of: str | None) -> Iterator[str]:
    """List what can go and the weights that stay, then remove what can go.

    That is checkpoints of failed runs and what dead writers left. Whatever else lies in the folder
    is not the suite's, and stays: files under other names, in folders below, and weights without a
    record beside them. A checkpoint that training can go on from stays, too. Weights and
    checkpoints of runs that match the pattern ``weights_of`` go.

    Raises:
        BenchError: a file cannot be removed.
    """
    found = dict(_garbage(runs, store, weights_of))
    sizes = {path: _bytes(path) for path in found}
    for path, reason in found.items():
        yield f"{_megabytes(sizes[path]):>9}  {path} ({reason})"
    removed = []
    for path in found:
        run_id = path.parent.name
        with lock(store.lock_path(run_id), wait=False) as held:
            # Whoever works on a run needs its files, as may whoever has ended it meanwhile.
            now = dict(_of_run(store.read_folder(run_id), store, weights_of))
            if held and (path in now or path.suffix == TEMPORARY):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise refused(f"cannot remove {path}", error) from error
                removed.append(path)
    weights = [path for path in map(store.weights, runs) if path.is_file()]
    for path in weights:
        yield f"{_megabytes(_bytes(path)):>9}  {path} (kept)"
    checkpoints = sum(store.checkpoint(run_id).is_file() for run_id in runs)
    freed = _megabytes(sum(sizes[path] for path in removed))
    yield (
        f"removed {counted(len(removed), 'file')}, {freed}; kept "
        f"{counted(checkpoints, 'checkpoint')} and the weights of {counted(len(weights), 'run')} "
        "(--weights-of PATTERN removes both)"
    )


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
