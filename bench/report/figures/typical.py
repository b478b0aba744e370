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
        fids = _fids(content, cell)
        there = [result for result in results if result.run_id in fids and drawable(result)]
        if results:
            middle = statistics.median(fids.values()) if fids else 0.0
            distances = {run.run_id: abs(fids[run.run_id] - middle) for run in there}
            found[cell] = min(there, key=lambda run: distances[run.run_id], default=None)
    return found


def typical_note(content: TableResults, shown: Mapping[Cell, Result | None]) -> str:
    """Which run each column shows, and how typical it is."""
    named = [
        f"{cell.name}: seed {run.spec.seed}, FID {significant(fids[run.run_id])} "
        f"(median {significant(statistics.median(fids.values()))} of {len(fids)})"
        for cell, run in shown.items()
        if run and (fids := _fids(content, cell))
    ]
    return (
        "Each column shows one run: of those whose images are kept, the one whose FID "
        f"({HEADLINE_SAMPLER}, {_extractor(content)}) is nearest to the median over all seeds. "
        f"{'; '.join(named) or 'None'}."
    )


def _extractor(content: TableResults) -> str:
    """One that has seen every run, or else the first; FIDs of two are not to be compared."""
    names = content.extractors
    everywhere = [n for n in names if all(n in each.extractors for each in content.all_results)]
    return next(iter(everywhere + names), "")


def _fids(content: TableResults, cell: Cell) -> dict[str, float]:
    """FID of the headline sampler by run, of a cell's runs that the extractor has seen."""
    seen = {r.run_id: r.seen(_extractor(content), "fid") for r in content.results[cell]}
    return {run_id: float(fid[HEADLINE_SAMPLER]) for run_id, fid in seen.items() if fid}
