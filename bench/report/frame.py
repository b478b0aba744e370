"""Turn results into one row per metric, view and cell: mean, interval, n, paper, difference."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.data import dataset
from bench.errors import BenchError, described
from bench.evaluation.extractors import in_order
from bench.experiments.published import PUBLISHED
from bench.experiments.spec import Cell, TableSpec
from bench.report.display import Display
from bench.report.metrics import METRICS, REAL, View
from bench.report.statistics import Interval, interval
from bench.store.records import FailedRun, Result


@dataclass(frozen=True)
class TableResults:
    """What a table shows.

    Attributes:
        table: its declaration, with the runs that were asked for.
        results: measured runs of each cell.
        missing: why a column, or a seed of it, has no number: ``label: reason``.
        display: how they are read and shown.
        profile: name of the profile.
        failed: runs of each cell that failed.
        overrides: settings of every run that were set by hand, over the profile's.
    """

    table: TableSpec
    results: Mapping[Cell, Sequence[Result]]
    missing: Sequence[str]
    display: Display
    profile: str
    failed: Mapping[Cell, Sequence[FailedRun]] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def setting(self) -> str:
        """The profile, and what was set by hand: ``paper, epochs=100``."""
        return ", ".join([self.profile, *(f"{k}={v}" for k, v in self.overrides.items())])

    @property
    def all_results(self) -> list[Result]:
        """Results of all cells."""
        return [result for results in self.results.values() for result in results]

    @property
    def extractors(self) -> list[str]:
        """Names of the extractors that the table shows numbers of, in order."""
        present = {name for result in self.all_results for name in result.extractors}
        shown = self.display.extractors or present
        return sorted(present & set(shown), key=in_order)

    def unlearned(self, cell: Cell) -> list[int]:
        """Seeds of a cell whose runs have not learned, and take part in no verdict."""
        results = self.results.get(cell, ())
        return [each.spec.seed for each in results if not self.display.learned(each)]

    def views(self, metric: str) -> list[View]:
        """The extractors and samplers that a metric has rows of, in order.

        Of a metric that is of no images, one empty view; where nothing is measured, the extractor
        that was asked for. A prior is only that of some methods, and every extractor has a row of
        real images.
        """
        if not METRICS[metric].by_view:
            return [View()]
        present = {
            View(extractor, sampler)
            for result in self.all_results
            for extractor in self.extractors
            for sampler in result.seen(extractor, "fid")
        }
        asked = (*self.display.samplers, REAL)
        found = [View(e, s) for e in self.extractors for s in asked if View(e, s) in present]
        return found or [View(self.table.cells[0].measurement.extractor)]

    def of_real(self, metric: str, extractor: str, data: str) -> list[float]:
        """A metric of subsets of a data set's training images, the same for every run on it."""
        of_data = (result for result in self.all_results if result.spec.dataset == data)
        found = (METRICS[metric].of_real(result, extractor) for result in of_data)
        return next(filter(None, found), [])

    def values(self, metric: str, view: View, cell: Cell) -> dict[int, float]:
        """A metric of a cell's runs, by seed."""
        results = self.results.get(cell, ())
        try:
            found = {r.spec.seed: METRICS[metric].value(r, self.display, view) for r in results}
            return {seed: float(value) for seed, value in found.items() if value is not None}
        except Exception as error:
            raise BenchError(f"metric {metric} of {cell.name}: {described(error)}") from error

    def learned(self, metric: str, view: View, cell: Cell) -> list[float]:
        """The same of the runs that have learned."""
        unlearned, values = self.unlearned(cell), self.values(metric, view, cell)
        return [value for seed, value in values.items() if seed not in unlearned]


def frame(content: TableResults) -> pd.DataFrame:
    """Aggregate a table.

    Returns:
        One row per metric, extractor, sampler and cell, in the table's order; ``sampler`` is
        ``real`` for real training images in place of samples; ``seeds_not_learned`` are those among
        ``seeds`` whose runs have not. ``mean``, ``low`` and ``high`` (95 % interval of
        the mean, Student t) are over the ``n`` runs with ``seeds``, of logarithms where
        ``logarithmic``; an interval needs two. Of real images, ``mean`` and ``deviation`` are over
        subsets of the training images. ``difference`` is mean minus ``paper``, left out
        where the two are not ``comparable`` (a part of the data, another extractor, a caveat) or
        the profile is not the paper's. From ``answer``, a number that the data fix, there is a
        difference in every profile. Missing numbers are NaN.
    """
    rows = [
        _row(content, name, view, cell)
        for name in content.table.metrics
        for view in content.views(name)
        for cell in content.table.cells
    ]
    return pd.DataFrame(rows)


def beside_printed(data: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of a frame whose measured numbers can be held against printed ones."""
    return data[(data.metric == metric) & data.paper.notna() & data.difference.notna()]


def _row(content: TableResults, name: str, view: View, cell: Cell) -> dict[str, object]:
    """One row of :func:`frame`."""
    table, metric = content.table, METRICS[name]
    values = content.values(name, view, cell)
    mean, spread = _mean(content, name, view, cell, list(values.values()))
    published = PUBLISHED.get((table.published, metric.printed_as or name, cell.row, cell.label))
    reference = float(published.value if published else table.answers.get(name, math.nan))
    comparable = published is None or (
        # The supplement names no network: a FID is Inception's unless a paper says otherwise.
        view.extractor in ("", "inception")
        and not dataset(cell.training.dataset).part_of
        and not published.caveat
    )
    # How long a run was trained is what a reading is about.
    others = content.overrides.keys() - ({"epochs"} if metric.printed_as else set())
    as_printed = published is None or (content.profile == "paper" and not others)
    settled = comparable and as_printed and view.sampler != REAL
    checksums = {
        record.extractor["checksum"]
        for result in content.results.get(cell, ())
        for record in result.measurements
        if record.spec.extractor == view.extractor
    }
    return {
        "table": table.name,
        "metric": name,
        "row": cell.row,
        "column": cell.label,
        "sampler": view.sampler,
        "n": len(values),
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "deviation": spread,
        "paper": reference if published else math.nan,
        "answer": math.nan if published else reference,
        "difference": mean.mean - reference if settled else math.nan,
        "comparable": comparable,
        "seeds": " ".join(map(str, values)),
        "seeds_not_learned": " ".join(map(str, content.unlearned(cell))),
        "logarithmic": metric.logarithmic,
        "rank_threshold": content.display.rank_threshold if metric.by_threshold else math.nan,
        "extractor": view.extractor,
        "extractor_sha256": " ".join(sorted(checksums)),
        "profile": content.setting,
        "dataset": cell.training.dataset,
        "precision": cell.training.precision,
        "paper_source": published.source if published else "",
        "paper_caveat": published.caveat if published else "",
    }


def _mean(
    content: TableResults, name: str, view: View, cell: Cell, values: Sequence[float]
) -> tuple[Interval, float]:
    """A metric's mean over seeds; of real images over subsets of them, with their deviation."""
    metric = METRICS[name]
    mean = interval(values, logarithmic=metric.logarithmic, least=metric.least_deviation)
    if view.sampler != REAL:
        return mean, math.nan
    # It is the same for every seed.
    data = cell.training.dataset
    subsets = content.of_real(name, view.extractor, data) if content.results.get(cell) else []
    centre = statistics.mean(subsets) if subsets else mean.mean
    spread = statistics.stdev(subsets) if len(subsets) > 1 else math.nan
    return Interval(centre, math.nan, math.nan), spread
