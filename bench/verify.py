"""Run a finished run once more and compare: ``--verify``."""

from __future__ import annotations

import difflib
import fnmatch
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError, UsageError
from bench.job import Settings
from bench.store import Record, Store, read_history


def find(store: Store, name: str) -> Record:
    """The finished run of that name: a folder's, or a pattern that matches one.

    Raises:
        UsageError: none or several match; the message names some.
        BenchError: the run's record cannot be trusted.
    """
    record = store.record(name)
    if record is not None:
        return record
    records = {record.run_id: record for record in store.records()}
    found = [
        run_id
        for run_id, record in records.items()
        if fnmatch.fnmatchcase(run_id, name) or record.spec.name == name
    ]
    if len(found) == 1:
        return records[found[0]]
    shown = found or difflib.get_close_matches(name, records, n=3, cutoff=0) or ["none is finished"]
    kind = "several runs" if found else "no finished run"
    raise UsageError(f"--verify {name}: {kind} of that name: {', '.join(shown[:3])}")


def differences(record: Record, store: Store, settings: Settings) -> Iterator[str]:
    """Run a record's spec anew, and name whatever came out otherwise but for times.

    Args:
        record: of a finished run.
        store: where its arrays and its history are, as far as they are kept.
        settings: where and how to run. The runs folder is only used for what runs share.

    Raises:
        BenchError: it cannot be run, or failed.
    """
    from bench.execute import execute

    with tempfile.TemporaryDirectory() as folder:
        again = Store(Path(folder) / "runs")
        again.root.mkdir()
        if store.cache.is_dir():
            # The same extractor, and prepared pictures.
            again.cache.symlink_to(store.cache.resolve(), target_is_directory=True)
        (outcome,) = execute([record.spec], replace(settings, runs_dir=again.root))
        if outcome.record is None:
            reason = outcome.failure.reason if outcome.failure else "another process is at it"
            raise BenchError(f"--verify {record.run_id}: {reason}")
        found = list(_compare(record, store, outcome.record, again))
        # What it was made with explains a difference, and is none by itself.
        yield from found + (list(_circumstances(record, outcome.record)) if found else [])


def _compare(before: Record, old: Store, after: Record, new: Store) -> Iterator[str]:
    import numpy as np

    numbers = dict(after.flat_metrics())
    for name, value in before.flat_metrics():
        if numbers.get(name) != value:
            yield f"{name}: {value!r} before, {numbers.get(name)!r} now"
    for name in ("name", "checksum"):
        if before.extractor[name] != after.extractor[name]:
            yield f"extractor {name}: {before.extractor[name]} before, {after.extractor[name]} now"
    # What was committed without arrays or history is compared by its numbers alone.
    arrays = new.arrays(after.run_id)
    for name, values in old.arrays(before.run_id).items():
        if not np.array_equal(values, arrays.get(name, np.empty(0))):
            yield f"the array {name}"
    losses = [
        [(row["step"], row["loss"]) for row in read_history(store.history(before.run_id))]
        for store in (old, new)
    ]
    if losses[0] and losses[0] != losses[1]:
        yield "losses of history.jsonl"


def _circumstances(before: Record, after: Record) -> Iterator[str]:
    for name in ("torch", "numpy", "scikit-learn", "device", "cpu", "threads", "stacked"):
        now = after.provenance.get(name)
        # Older records do not have all of them.
        was = before.provenance.get(name, now)
        if was != now:
            yield f"(it was made with {name} {was}, now {now})"
