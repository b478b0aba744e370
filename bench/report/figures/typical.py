"""The run that stands for a column, where a figure shows one run of each."""

import statistics
from collections.abc import Callable

from bench.experiments.spec import HEADLINE_SAMPLER, Cell
from bench.report.frame import TableResults
from bench.report.metrics import View
from bench.report.notes import before_columns
from bench.report.rows import significant
from bench.store.records import Result


def typical_runs(
    content: TableResults, drawable: Callable[[Result], bool], kept: str = "images"
) -> tuple[dict[Cell, Result | None], str]:
    """Of each column with runs, the one whose FID is nearest to the median of all its seeds.

    ``drawable`` tells whether what is to be drawn of a run is at hand; ``kept`` says what that is.

    Returns:
        The run by column, None where what is to be drawn is at hand of no run; and a note that
        says which they are, and how typical.
    """
    # One extractor that has seen every run, or else the first: FIDs of two are not to be compared.
    names = content.extractors
    everywhere = [n for n in names if all(n in each.extractors for each in content.all_results)]
    view = View(next(iter(everywhere + names), ""), HEADLINE_SAMPLER)
    found: dict[Cell, Result | None] = {}
    named = []
    for cell, results in content.results.items():
        if not results:
            continue
        fids = content.values("fid", view, cell)
        there = [result for result in results if result.spec.seed in fids and drawable(result)]
        found[cell] = None
        if there:
            middle = statistics.median(fids.values())
            run = found[cell] = min(there, key=lambda run: abs(fids[run.spec.seed] - middle))
            named.append(
                f"{cell.name}: seed {run.spec.seed}, {significant(fids[run.spec.seed])} "
                f"(median {significant(middle)} of {len(fids)}; {kept} of {len(there)} kept)"
            )
    which = before_columns(content.table, " ") + "; ".join(named) if named else "none"
    return found, (
        f"Each column shows one run: of those whose {kept} are kept, the one whose FID is nearest "
        "to the median of all seeds; where one is kept, it need not be typical. FIDs of the runs "
        f"shown ({view.sampler}, {view.extractor}): {which}."
    )
