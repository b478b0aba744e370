"""Run a finished run once more and compare: ``--verify``."""

import fnmatch
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.campaign.job import Job, WorkerSettings
from bench.campaign.runs import result_of
from bench.errors import BenchError, UsageError, unknown
from bench.store.folders import Store, kept_images, read_history, read_spectra
from bench.store.records import Result


def run_named(results: Sequence[Result], name: str) -> Result:
    """The measured run of that name: a folder's, or a pattern that matches one.

    Where a run was measured in several sizes, the latest counts.

    Raises:
        UsageError: none or several match; the message names some.
    """
    latest = {result.run_id: result for result in results}
    found = [run_id for run_id in latest if fnmatch.fnmatchcase(run_id, name)]
    if not latest:
        raise BenchError(f"--verify {name}: there are no finished runs; see --runs-dir")
    if not found:
        raise unknown("finished run", name, latest)
    if len(found) > 1:
        raise UsageError(f"--verify {name}: several runs of that name: {', '.join(found[:3])}")
    return latest[found[0]]


def differences(before: Result, store: Store, settings: WorkerSettings) -> Iterator[str]:
    """Train and measure a run anew, and name whatever came out otherwise but for times.

    A run that was made on a GPU is repeated to rounding only: its numbers may differ by
    :data:`_ROUNDING`, which is said where they do. The store's cache is used again. Training takes
    the threads of the settings, each measurement as many as its record names.

    Raises:
        BenchError: it cannot be run, or failed.
    """
    from bench.campaign.worker import execute, fetch

    # Read now: another command may train the run again meanwhile.
    kept = _kept(before)
    specs = tuple(record.spec for record in before.measurements)
    job = Job(before.run_id, before.spec, specs)
    in_order = sorted(before.measurements, key=lambda record: record.timing["finished"])
    by_threads = itertools.groupby(in_order, key=lambda record: int(record.provenance["threads"]))
    measured = [(count, tuple(record.spec for record in of_it)) for count, of_it in by_threads]
    with tempfile.TemporaryDirectory() as temporary:
        again = Store(Path(temporary) / "runs")
        again.cache.mkdir(parents=True)
        # What extractors have seen of real images, and prepared pictures; the locks are its own.
        for path in store.cache.glob("*"):
            if path.suffix != ".lock" and path.name != "locks":
                (again.cache / path.name).symlink_to(path.resolve())
        settings = replace(settings, runs_dir=again.root)
        fetch(job, settings)
        # The first part only trains.
        for threads, part in ((settings.threads, ()), *measured):
            only = replace(job, measurements=part)
            (folder,) = execute([only], replace(settings, threads=threads))
            if folder.failure:
                break
        after = result_of(job, folder)
        if after is None or len(after.measurements) < len(specs):
            reason = folder.failure.reason if folder.failure else "it left no record"
            raise BenchError(f"--verify {before.run_id}: {reason}")
        rounded = _rounds(before) or _rounds(after)
        found = list(_compare(before, after, kept, _ROUNDING if rounded else 0.0))
        # What it was made with explains a difference, and is none by itself.
        if found:
            found += _circumstances(before, after)
            if rounded:
                found.append(
                    f"(made on a GPU: relative differences up to {_ROUNDING:g} are "
                    "rounding, and not listed)"
                )
        yield from found


# Relative difference of numbers that sums in another order account for after a whole training.
_ROUNDING = 0.05


_MADE_WITH = ("torch", "numpy", "scikit-learn", "device", "cpu", "threads")


def _rounds(result: Result) -> bool:
    """Whether a run is repeated to rounding only."""
    measured = [record.provenance for record in result.measurements]
    made = (*result.trained.earlier, result.trained.provenance, *measured)
    return {each["device"] for each in made} != {"cpu"}


def _kept(result: Result) -> dict[str, np.ndarray]:
    """What was kept of a run beside its records, which may be committed without it."""
    found = {f"the images {name}": images for name, images in kept_images(result).items()}
    if (spectra := read_spectra(result.folder)) is not None:
        found["spectra.npz"] = spectra
    if lines := read_history(result.folder):
        losses = [(row["step"], row["loss"]) for row in lines]
        found["losses of history.jsonl"] = np.array(losses)
    return found


def _compare(
    before: Result, after: Result, kept: Mapping[str, np.ndarray], tolerance: float
) -> Iterator[str]:
    for earlier, later in zip(before.measurements, after.measurements, strict=True):
        numbers = dict(later.numbers())
        for name, value in earlier.numbers():
            now = numbers.get(name)
            if now is None or abs(now - value) > tolerance * abs(value):
                yield f"{name} ({earlier.spec.extractor}): {value!r} before, {now!r} now"
    old_values, new_values = (np.array(r.metrics["spectrum"]) for r in (before, after))
    if np.abs(new_values - old_values).max() > tolerance * old_values.max():
        yield "the spectrum"
    if tolerance:
        return
    if before.trained.weights_sha256 != after.trained.weights_sha256:
        yield "the weights"
    for earlier, later in zip(before.measurements, after.measurements, strict=True):
        for name in ("real_images", "spectrum_sampled"):
            if earlier.current.get(name) != later.current.get(name):
                yield f"{name} ({earlier.spec.extractor})"
    again = _kept(after)
    for name, values in kept.items():
        if not np.array_equal(values, again.get(name, np.empty(0))):
            yield name


def _circumstances(before: Result, after: Result) -> Iterator[str]:
    made, trained = (*before.trained.earlier, before.trained.provenance), after.trained.provenance
    pairs = [(f"from step {s.get('from_step', 0):,} on it was made", s, trained) for s in made]
    pairs += [
        (f"through {old.spec.extractor} it was measured", old.provenance, new.provenance)
        for old, new in zip(before.measurements, after.measurements, strict=True)
    ]
    for what, was, now in pairs:
        for name in (each for each in _MADE_WITH if was[each] != now[each]):
            yield f"({what} with {name} {was[name]}, now {now[name]})"
