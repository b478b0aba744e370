"""Turn results into one row per metric and cell: mean, interval, n, paper, difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import pandas as pd
from scipy.special import stdtrit

from bench.experiments.published import PUBLISHED
from bench.experiments.spec import Cell, TableSpec
from bench.report.reading import Reading
from bench.store.records import FailedRun, Result

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Metric:
    """A quantity that tables print.

    Attributes:
        label: its name in tables.
        value: its value in a result, as the table reads it.
        lower_is_better: whether it has a direction; False means that it has none.
        decimals: digits after the point, or None for as many as its values ask for.
    """

    label: str
    value: Callable[[Result, Reading], float]
    lower_is_better: bool
    decimals: int | None = None


METRICS = {
    "rank": Metric("Latent rank", lambda result, reading: reading.rank(result), False),
    "fid": Metric("FID", lambda result, reading: result.metrics["fid"][reading.sampler], True),
    "test_mse": Metric("Test MSE", lambda result, _: result.metrics["test_mse"], True, 5),
    "told_apart": Metric(
        "Told apart", lambda result, _: result.metrics["overlap"]["accuracy"], True, 3
    ),
}


@dataclass(frozen=True)
class Content:
    """What a table shows.

    Attributes:
        table: its declaration, with the runs that were asked for.
        results: measured runs of each cell.
        missing: why a column, or a seed of it, has no number: ``label: reason``.
        reading: how they are read.
        profile: name of the profile, and what was set by hand.
        failed: runs of each cell that failed.
    """

    table: TableSpec
    results: Mapping[Cell, Sequence[Result]]
    missing: Sequence[str]
    reading: Reading
    profile: str
    failed: Mapping[Cell, Sequence[FailedRun]] = field(default_factory=dict)

    @property
    def extractor(self) -> Mapping[str, str | int] | None:
        """The extractor of most results; None where there are none."""
        seen = [each.measured.extractor for each in self.all_results]
        if not seen:
            return None
        checksum = Counter(extractor["checksum"] for extractor in seen).most_common(1)[0][0]
        return next(extractor for extractor in seen if extractor["checksum"] == checksum)

    @property
    def all_results(self) -> list[Result]:
        """Results of all cells."""
        return [result for results in self.results.values() for result in results]

    @property
    def foreign(self) -> list[Result]:
        """Results whose FIDs come from other weights, and so cannot stand beside the others."""
        extractor = self.extractor
        return [
            result
            for result in self.all_results
            if extractor and result.measured.extractor["checksum"] != extractor["checksum"]
        ]


def frame(content: Content) -> pd.DataFrame:
    """Aggregate a table.

    Returns:
        One row per metric and cell, in the table's order. ``mean``, ``low`` and ``high`` (95 %
        interval of the mean, Student t) are over the ``n`` runs with ``seeds``; an interval needs
        two. ``difference`` is mean minus ``paper``, left out where the two are not
        ``comparable`` (other data, or FIDs of different extractors). Missing numbers are NaN.
    """
    table, foreign = content.table, content.foreign
    rows = []
    for name in table.metrics:
        metric = METRICS[name]
        for cell in table.cells:
            results = [
                result
                for result in content.results.get(cell, ())
                if name != "fid" or result not in foreign
            ]
            values = [metric.value(result, content.reading) for result in results]
            mean, half_width = interval(values)
            published = PUBLISHED.get((table.published, name, cell.row, cell.label))
            reference = published.value if published else table.known.get(name)
            extractor = cell.measurement.features if name == "fid" else None
            comparable = published is None or (
                published.extractor == extractor and table.published == table.name
            )
            rows.append(
                {
                    "table": table.name,
                    "metric": name,
                    "row": cell.row,
                    "column": cell.label,
                    "n": len(values),
                    "mean": mean,
                    "low": mean - half_width,
                    "high": mean + half_width,
                    "paper": reference if published else None,
                    "known": None if published else reference,
                    "difference": mean - reference
                    if reference is not None and comparable
                    else None,
                    "comparable": comparable,
                    "seeds": " ".join(str(result.spec.seed) for result in results),
                    "rank_threshold": content.reading.rank_threshold if name == "rank" else None,
                    "sampler": content.reading.sampler if name == "fid" else "",
                    "extractor": extractor or "",
                    "extractor_sha256": content.extractor["checksum"]
                    if content.extractor and name == "fid"
                    else "",
                    "profile": content.profile,
                    "dataset": cell.training.dataset,
                    "precision": cell.training.precision,
                    "paper_source": published.source if published else "",
                    "paper_caveat": published.caveat if published else "",
                }
            )
    numbers = ["mean", "low", "high", "paper", "known", "difference", "rank_threshold"]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval (Student t, sample standard deviation).

    NaN stands for what cannot be told: the mean of nothing, the interval of one value.
    """
    n = len(values)
    if n == 0:
        return float("nan"), float("nan")
    mean = sum(values) / n
    if n == 1:
        return mean, float("nan")
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    return mean, float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * deviation / sqrt(n)
