"""The run that stands for a column, where a figure shows one run of each."""

import statistics
from collections.abc import Callable

from bench.experiments.spec import HEADLINE_SAMPLER, Cell
from bench.report.frame import TableResults
from bench.report.rows import significant
from bench.store.records import Result


def typical_runs(
    content: TableResults, drawable: Callable[[Result], bool], kept: str = "images"
) -> tuple[dict[Cell, Result | None], str]:
    """Of each column with runs, the one whose FID is nearest to the median of all its seeds.

    Args:
        content: the table.
        drawable: whether what is to be drawn of a run is at hand.
        kept: what that is.

    Returns:
        The run by column, None where what is to be drawn is at hand of no run; and a note that
        says which they are, and how typical.
    """
    found: dict[Cell, Result | None] = {}
    named = []
    for cell, results in content.results.items():
        if not results:
            continue
        fids = _fids(content, cell)
        there = [result for result in results if result.run_id in fids and drawable(result)]
        found[cell] = None
        if there:
            middle = statistics.median(fids.values())
            run = found[cell] = min(there, key=lambda run: abs(fids[run.run_id] - middle))
            named.append(
                f"{cell.name}: seed {run.spec.seed}, FID {significant(fids[run.run_id])} "
                f"(median {significant(middle)} of {len(fids)}; {kept} of {len(there)} kept)"
            )
    return found, (
        f"Each column shows one run: of those whose {kept} are kept, the one whose FID "
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
