"""Turn results into one row per metric, sampler and cell: mean, interval, n, paper, difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.experiments.published import PUBLISHED
from bench.experiments.spec import Cell, TableSpec
from bench.report.metrics import METRICS, REAL
from bench.report.reading import Reading
from bench.report.statistics import interval
from bench.store.records import FailedRun, Result


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

    def unlearned(self, cell: Cell) -> list[int]:
        """Seeds of a cell whose runs have not learned, and take part in no verdict."""
        results = self.results.get(cell, ())
        return [each.spec.seed for each in results if not self.reading.learned(each)]

    def samplers(self, metric: str) -> list[str]:
        """The samplers that a metric has rows of, in order: of one that is not of samples, ``""``.

        A prior is only that of some methods, and every table has a row of real images.
        """
        if not METRICS[metric].by_sampler:
            return [""]
        present = {name for each in self.all_results for name in each.metrics["fid"]}
        return [name for name in (*self.reading.samplers, REAL) if name in present]

    def values(
        self, metric: str, sampler: str, cell: Cell, *, learned: bool = False
    ) -> dict[int, float]:
        """A metric of a cell's runs, by seed: of samples, by one extractor only.

        With ``learned``, of the runs that have learned.
        """
        declared, foreign = METRICS[metric], self.foreign
        found = {
            result.spec.seed: declared.value(result, self.reading, sampler)
            for result in self.results.get(cell, ())
            if (not declared.by_sampler or result not in foreign)
            and (not learned or self.reading.learned(result))
        }
        return {seed: value for seed, value in found.items() if value is not None}


def frame(content: Content) -> pd.DataFrame:
    """Aggregate a table.

    Returns:
        One row per metric, sampler and cell, in the table's order; ``sampler`` is ``real`` for
        real training images in place of samples; ``not_learned`` are the seeds among ``seeds``
        whose runs have not. ``mean``, ``low`` and ``high`` (95 % interval of
        the mean, Student t) are over the ``n`` runs with ``seeds``, of logarithms where
        ``logarithmic``; an interval needs two. ``difference`` is mean minus ``paper``, left out
        where the two are not ``comparable`` (other data, another extractor, a caveat) or the
        profile is not the paper's. Missing numbers are NaN.
    """
    rows = [
        _row(content, name, sampler, cell)
        for name in content.table.metrics
        for sampler in content.samplers(name) or [""]
        for cell in content.table.cells
    ]
    numbers = ["mean", "low", "high", "paper", "known", "difference", "rank_threshold"]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def beside_printed(data: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of a frame whose measured numbers can be held against printed ones."""
    return data[(data.metric == metric) & data.paper.notna() & data.difference.notna()]


def _row(content: Content, name: str, sampler: str, cell: Cell) -> dict[str, object]:
    table, metric = content.table, METRICS[name]
    values = content.values(name, sampler, cell)
    mean = interval(
        list(values.values()), logarithmic=metric.logarithmic, least=metric.least_deviation
    )
    published = PUBLISHED.get((table.published, name, cell.row, cell.label))
    reference = published.value if published else table.known.get(name)
    extractor = cell.measurement.features if metric.by_sampler else None
    comparable = published is None or (
        published.extractor == extractor and table.published == table.name and not published.caveat
    )
    settled = comparable and (published is None or content.profile == "paper") and sampler != REAL
    known = content.extractor
    return {
        "table": table.name,
        "metric": name,
        "row": cell.row,
        "column": cell.label,
        "sampler": sampler,
        "n": mean.n,
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "paper": reference if published else None,
        "known": None if published else reference,
        "difference": mean.mean - reference if reference is not None and settled else None,
        "comparable": comparable,
        "seeds": " ".join(map(str, values)),
        "not_learned": " ".join(map(str, content.unlearned(cell))),
        "logarithmic": metric.logarithmic,
        "rank_threshold": content.reading.rank_threshold if name.startswith("rank") else None,
        "extractor": extractor or "",
        "extractor_sha256": known["checksum"] if known and metric.by_sampler else "",
        "profile": content.profile,
        "dataset": cell.training.dataset,
        "precision": cell.training.precision,
        "paper_source": published.source if published else "",
        "paper_caveat": published.caveat if published else "",
    }
