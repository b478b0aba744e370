"""Which data a request is about, as far as only the user's disk or finished runs can tell."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import DATASETS, Dataset, register_dataset
from bench.errors import BenchError, UsageError, unknown
from bench.store.records import TrainingRecord


class AbsentError(BenchError):
    """A data set is not here."""


@dataclass(frozen=True)
class Places:
    """Where data may be found.

    Attributes:
        data_dir: the user's files, and downloads.
        cache: prepared images.
        records: finished runs, which tell what their data were.
        look: look on the disk; otherwise finished runs alone tell.
        make: prepare pictures that are found.
        download: fetch what is missing and can be fetched.
        name: what the user's own data are to be called; None for their folder's name.
        outputs: folders that the suite writes to, whose pictures are not the user's.
    """

    data_dir: Path
    cache: Path
    records: Sequence[TrainingRecord]
    look: bool = False
    make: bool = False
    download: bool = False
    name: str | None = None
    outputs: tuple[Path, ...] = ()


def locate(asked: str, places: Places) -> Dataset:
    """Make a data set known as it is here.

    Args:
        asked: a declared name, the name of finished runs' data, or the user's own data, see
            :func:`bench.data.own.declare`.
        places: where to look.

    Raises:
        AbsentError: the data are not here.
        BenchError: they are, but cannot be used; or finished runs are of other data of that name.
        UsageError: an unknown name.
    """
    declared = DATASETS.get(asked)
    if declared is not None and not declared.finder and not declared.own:
        return declared
    found = of_records(asked, places.records)
    if ":" in asked:
        # Looking at pictures needs NumPy and PIL, which a plan of Table 4 does without.
        from bench.data import own

        found = own.declare(
            asked, places.cache, make=places.make, name=places.name, outputs=places.outputs
        )
        _refuse_namesake(found, places.records)
    elif declared is not None and declared.finder and places.look:
        found = _on_disk(declared, places) or found
        if found is None:
            help_ = importlib.import_module(declared.finder).HELP[asked]
            raise AbsentError(f"no {asked} in {places.data_dir}: {help_}")
    found = found or declared
    if found is None:
        from bench.data import own

        if meant := own.suggestion(asked):
            raise UsageError(f"--dataset {asked}: say what is in it, such as --dataset {meant}")
        raise unknown("data set", asked, DATASETS)
    register_dataset(found, replace=True)
    return found


def _refuse_namesake(found: Dataset, records: Sequence[TrainingRecord]) -> None:
    """Tables and figures are named after the data: other data would write over theirs."""
    if "pictures" not in found.content and found.module == "bench.data.prepared":
        # Not prepared yet, so that nobody knows what they are.
        return
    for record in records:
        if record.data.name == found.name and record.data.fingerprint != found.fingerprint:
            raise UsageError(
                f"--dataset: finished runs are of other data named {found.name} "
                f"({record.data.description.partition(',')[0]}); choose another name for these "
                f"(--name), or another --runs-dir, --tables-dir and --figures-dir"
            )


def _on_disk(declared: Dataset, places: Places) -> Dataset | None:
    finder = importlib.import_module(declared.finder)

    def found() -> Dataset | None:
        return finder.locate(declared, places.data_dir, places.cache, make=places.make)

    here = found()
    if here is None and places.make and places.download:
        finder.download(places.data_dir)
        here = found()
    return here


def of_records(name: str, records: Sequence[TrainingRecord]) -> Dataset | None:
    """The data set of that name that most finished runs are of; None where none is."""
    known = {r.data.fingerprint: r.data for r in records if r.data.name == name}
    counts = Counter(r.data.fingerprint for r in records if r.data.name == name)
    return known[counts.most_common(1)[0][0]] if counts else None
