"""From records to one row per metric and cell: mean, interval, n, paper, difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import pandas as pd
from scipy.special import stdtrit

from bench.published import PUBLISHED
from bench.spec import Cell, TableSpec
from bench.store import FailedRun, Record

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Metric:
    """A quantity that tables print.

    Attributes:
        label: its name in tables.
        value: its value in a record, given the sampler that the table shows.
        lower_is_better: whether it has a direction; False means that it has none.
        decimals: digits after the point, or None for as many as its values ask for.
    """

    label: str
    value: Callable[[Record, str], float]
    lower_is_better: bool
    decimals: int | None = None


METRICS = {
    "rank": Metric("Latent rank", lambda record, _: record.metrics["rank"], False),
    "fid": Metric("FID", lambda record, sampler: record.metrics["fid"][sampler], True),
    "test_mse": Metric("Test MSE", lambda record, _: record.metrics["test_mse"], True, 5),
    "told_apart": Metric(
        "Told apart", lambda record, _: record.metrics["overlap"]["accuracy"], True, 3
    ),
}


@dataclass(frozen=True)
class Content:
    """What a table shows.

    Attributes:
        table: its declaration, with the runs that were asked for.
        records: finished runs of each cell.
        missing: why a column, or a seed of it, has no number: ``label: reason``.
        sampler: behind its FIDs.
        profile: name of the profile, and what was set by hand.
        failed: runs of each cell that failed.
    """

    table: TableSpec
    records: Mapping[Cell, Sequence[Record]]
    missing: Sequence[str]
    sampler: str
    profile: str
    failed: Mapping[Cell, Sequence[FailedRun]] = field(default_factory=dict)

    @property
    def extractor(self) -> Mapping[str, str | int] | None:
        """The extractor of most records; None where there are none."""
        seen = [record.extractor for records in self.records.values() for record in records]
        if not seen:
            return None
        checksum = Counter(extractor["checksum"] for extractor in seen).most_common(1)[0][0]
        return next(extractor for extractor in seen if extractor["checksum"] == checksum)

    @property
    def foreign(self) -> list[Record]:
        """Records whose FIDs come from other weights, and so cannot stand beside the others."""
        extractor = self.extractor
        return [
            record
            for records in self.records.values()
            for record in records
            if extractor and record.extractor["checksum"] != extractor["checksum"]
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
            records = [
                record
                for record in content.records.get(cell, ())
                if name != "fid" or record not in foreign
            ]
            values = [metric.value(record, content.sampler) for record in records]
            mean, half_width = interval(values)
            published = PUBLISHED.get((table.published, name, cell.row, cell.label))
            reference = published.value if published else table.known.get(name)
            extractor = cell.run.features if name == "fid" else None
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
                    "seeds": " ".join(str(record.spec.seed) for record in records),
                    "sampler": content.sampler if name == "fid" else "",
                    "extractor": extractor or "",
                    "extractor_sha256": content.extractor["checksum"]
                    if content.extractor and name == "fid"
                    else "",
                    "profile": content.profile,
                    "dataset": cell.run.dataset,
                    "precision": cell.run.precision,
                    "paper_source": published.source if published else "",
                    "paper_caveat": published.caveat if published else "",
                }
            )
    numbers = ["mean", "low", "high", "paper", "known", "difference"]
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
