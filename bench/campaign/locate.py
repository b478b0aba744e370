"""Find the data of a request, which the user's disk or finished runs tell of."""

import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.campaign.request import Request
from bench.data import DATASETS, Dataset, register_dataset
from bench.errors import BenchError, UsageError, unknown
from bench.store.records import TrainingRecord


class AbsentError(BenchError):
    """A data set is not here."""


def locate(asked: str, request: Request, cache: Path, records: Sequence[TrainingRecord]) -> Dataset:
    """Find a data set, and register it as it is here.

    It is asked for by a declared name, that of finished runs' data, or as the user's own, see
    :func:`bench.data.own.declare`. To collect, the records of finished runs alone tell what it is;
    a plan prepares no pictures.

    Raises:
        AbsentError: the data are not here.
        BenchError: they are, but cannot be used; or finished runs are of other data of that name.
        UsageError: an unknown name.
    """
    declared = DATASETS.get(asked)
    if declared is not None and not declared.finder and not declared.own:
        return declared
    found, look = of_records(asked, records), request.mode != "collect"
    make = look and request.mode != "plan"
    if ":" in asked:
        # Looking at pictures needs NumPy and PIL, which a plan of Table 4 does without.
        from bench.data import own

        outputs = (request.worker.runs_dir, request.tables_dir, request.figures_dir)
        found = own.declare(asked, cache, make=make, name=request.name, outputs=outputs)
        prepared = "pictures" in found.content or found.module != "bench.data.prepared"
        if not prepared and not look:
            raise BenchError(
                f"--dataset {asked}: its pictures are not prepared, so that nobody knows which "
                f"finished runs are of them; name the data of runs, such as --dataset {found.name}"
            )
        if prepared:
            _refuse_namesake(found, records)
    elif declared is not None and declared.finder and look:
        data_dir, finder = request.worker.data_dir, importlib.import_module(declared.finder)
        here = finder.declare(declared, data_dir, cache, make=make)
        if here is None and make and request.download:
            finder.download(data_dir)
            here = finder.declare(declared, data_dir, cache, make=True)
        found = here or found
        if found is None:
            raise AbsentError(f"no {asked} in {data_dir}: {finder.HELP[asked]}")
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


def of_records(name: str, records: Sequence[TrainingRecord]) -> Dataset | None:
    """The data set of that name that most finished runs are of; None where none is."""
    named = [record.data for record in records if record.data.name == name]
    counts = Counter(data.fingerprint for data in named)
    return max(named, key=lambda data: counts[data.fingerprint], default=None)
