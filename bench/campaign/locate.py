"""Find the data of a request, which the user's disk or finished runs tell of."""

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
class Search:
    """Where data are looked for, and what may be done with them.

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


def locate(asked: str, search: Search) -> Dataset:
    """Find a data set, and register it as it is here.

    Args:
        asked: a declared name, the name of finished runs' data, or the user's own data, see
            :func:`bench.data.own.declare`.
        search: where to look.

    Raises:
        AbsentError: the data are not here.
        BenchError: they are, but cannot be used; or finished runs are of other data of that name.
        UsageError: an unknown name.
    """
    declared = DATASETS.get(asked)
    if declared is not None and not declared.finder and not declared.own:
        return declared
    found = of_records(asked, search.records)
    if ":" in asked:
        # Looking at pictures needs NumPy and PIL, which a plan of Table 4 does without.
        from bench.data import own

        found = own.declare(
            asked, search.cache, make=search.make, name=search.name, outputs=search.outputs
        )
        prepared = "pictures" in found.content or found.module != "bench.data.prepared"
        if not prepared and not search.look:
            raise BenchError(
                f"--dataset {asked}: its pictures are not prepared, so that nobody knows which "
                f"finished runs are of them; name the data of runs, such as --dataset {found.name}"
            )
        if prepared:
            _refuse_namesake(found, search.records)
    elif declared is not None and declared.finder and search.look:
        found = _on_disk(declared, search) or found
        if found is None:
            help_ = importlib.import_module(declared.finder).HELP[asked]
            raise AbsentError(f"no {asked} in {search.data_dir}: {help_}")
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
    for record in records:
        if record.data.name == found.name and record.data.fingerprint != found.fingerprint:
            raise UsageError(
                f"--dataset: finished runs are of other data named {found.name} "
                f"({record.data.description.partition(',')[0]}); choose another name for these "
                f"(--name), or another --runs-dir, --tables-dir and --figures-dir"
            )


def _on_disk(declared: Dataset, search: Search) -> Dataset | None:
    finder = importlib.import_module(declared.finder)
    arguments = (declared, search.data_dir, search.cache)
    here: Dataset | None = finder.declare(*arguments, make=search.make)
    if here is None and search.make and search.download:
        finder.download(search.data_dir)
        here = finder.declare(*arguments, make=True)
    return here


def of_records(name: str, records: Sequence[TrainingRecord]) -> Dataset | None:
    """The data set of that name that most finished runs are of; None where none is."""
    named = [record.data for record in records if record.data.name == name]
    counts = Counter(data.fingerprint for data in named)
    return next((data for data in named if data.fingerprint == counts.most_common(1)[0][0]), None)
