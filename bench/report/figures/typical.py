"""The run that stands for a column, where a figure shows one run of each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

from bench.experiments.spec import HEADLINE_SAMPLER, Cell
from bench.report.frame import TableResults
from bench.report.rows import significant
from bench.store.records import Result


def typical_runs(
    content: TableResults, drawable: Callable[[Result], bool]
) -> dict[Cell, Result | None]:
    """Of each column with runs, the one whose FID is nearest to the median of all its seeds.

    Args:
        content: the table.
        drawable: whether what is to be drawn of a run is at hand; None where it is of no run.
    """
    found: dict[Cell, Result | None] = {}
    for cell, results in content.results.items():
        there = [result for result in results if drawable(result)]
        if results:
            middle = statistics.median(map(_fid, results))
            found[cell] = min(there, key=lambda run: abs(_fid(run) - middle), default=None)
    return found


def typical_note(content: TableResults, shown: Mapping[Cell, Result | None]) -> str:
    """Which run each column shows, and how typical it is."""
    named = [
        f"{cell.name}: seed {run.spec.seed}, {significant(_fid(run))} "
        f"({significant(statistics.median(map(_fid, results)))} of {len(results)})"
        for cell, run in shown.items()
        if run and (results := content.results[cell])
    ]
    return (
        "One run a column: of those that can be drawn the one whose FID "
        f"({HEADLINE_SAMPLER}) is nearest to the median of all seeds (in brackets); "
        f"{'; '.join(named) or 'none'}."
    )


def _fid(result: Result) -> float:
    """The FID of the headline sampler, by the first extractor."""
    return float(result.seen(result.extractors[0], "fid")[HEADLINE_SAMPLER])
