"""The printed rows of a table, before any markup."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench.experiments.spec import Cell
from bench.report.claims import LEAST_SEEDS
from bench.report.frame import TableResults
from bench.report.metrics import METRICS, REAL, Metric, View
from bench.report.statistics import interval

MISSING = "--"
_MINUS = "\N{MINUS SIGN}"
# Marks numbers of runs that have not learned.
NOT_LEARNED = "\N{DAGGER}"


@dataclass(frozen=True)
class Text:
    """One cell as it is printed, and its number."""

    text: str
    value: float
    best: bool = False
    grey: bool = False


@dataclass(frozen=True)
class Row:
    """One printed row.

    Attributes:
        metric: what it is of, and through which extractor.
        line: of which of the table's lines; empty where there is one.
        kind: which of the metric's numbers.
        cells: a number for each of the table's columns.
    """

    metric: str
    line: str
    kind: str
    cells: Sequence[Text]

    @property
    def label(self) -> str:
        """What it is of, in a table that has all lines below each other."""
        return f"{self.metric}, {self.line}" if self.line else self.metric


def rows(content: TableResults, data: pd.DataFrame) -> list[Row]:
    """The printed rows of a table: paper, measured and difference for each metric, then n."""
    result = []
    lines = list(dict.fromkeys(cell.row for cell in content.table.cells))
    for name, line in itertools.product(content.table.metrics, lines):
        metric = METRICS[name]
        of_metric = data[(data.metric == name) & (data.row == line)]
        views = list(dict.fromkeys(zip(of_metric.extractor, of_metric.sampler, strict=True)))
        first = _line(content, of_metric, View(*views[0]))
        for column, kind in (("paper", "paper"), ("answer", "known answer")):
            if first[column].notna().any() and not metric.brief:
                columns = (_as_printed(first[column]), first[column], first.comparable)
                cells = [
                    Text(text, value, grey=not like)
                    for text, value, like in zip(*columns, strict=True)
                ]
                beside = first.comparable[first[column].notna()].any()
                remark = "" if beside else ", not comparable"
                result.append(Row(metric.label, line, kind + remark, cells))
        for extractor, sampler in views:
            view = View(extractor, sampler)
            # Real images are the same for every run, and so stand once, below all lines.
            shared = sampler == REAL
            if shared and line != lines[-1]:
                continue
            part = _line(content, _once(data[data.metric == name]) if shared else of_metric, view)
            # Nor is there a row of an epoch that no run has.
            if (shared or metric.brief) and part["mean"].isna().all():
                continue
            best = _best(content, name, view, line)
            form = _form(part, metric)
            numbers = part.to_dict("records")
            cells = [
                Text(_measured(number, form) + _mark(number), number["mean"], bold)
                for number, bold in zip(numbers, best, strict=True)
            ]
            if metric.brief:
                said = _reproduced(part, metric)
                cells = [
                    replace(cell, text=f"{cell.text}, {agreement.text}")
                    for cell, agreement in zip(cells, said, strict=True)
                ]
            label = f"{metric.label} ({extractor})" if extractor else metric.label
            result.append(Row(label, "" if shared else line, _KINDS.get(sampler, sampler), cells))
            if part.difference.notna().any() and not metric.brief:
                cells = [Text(signed(value, 1), value) for value in part.difference]
                kind = f"difference, {sampler}" if sampler else "difference"
                result.append(Row(label, line, kind, cells))
                if metric.near and part.paper.notna().any():
                    result.append(Row(label, line, "reproduced", _reproduced(part, metric)))
    for line in lines:
        counts = [
            len(content.results.get(cell, ())) if cell else 0 for cell in _cells(content, line)
        ]
        cells = [Text(f"{n}", n) for n in counts]
        result.append(Row("Seeds", line, "n", cells))
    return result


def _reproduced(part: pd.DataFrame, metric: Metric) -> list[Text]:
    """What the interval of each mean says of the printed number: in full, the mean only, or no."""
    return [
        Text(MISSING, math.nan)
        if math.isnan(number["difference"]) or number["seeds_not_learned"]
        else Text(_agreement(number, metric), number["difference"])
        for number in part.to_dict("records")
    ]


def _agreement(number: Mapping[Hashable, Any], metric: Metric) -> str:
    if not metric.reproduces(number["mean"], number["paper"]):
        return "no"
    ends = (number["low"], number["high"])
    whole = all(metric.reproduces(end, number["paper"]) for end in ends)
    return "yes" if whole else "mean only"


def _once(data: pd.DataFrame) -> pd.DataFrame:
    """One number of each column, extractor and sampler, whichever line has it."""
    return data.dropna(subset="mean").drop_duplicates(["column", "extractor", "sampler"])


def _mark(number: Mapping[Hashable, Any]) -> str:
    unlearned = number["seeds_not_learned"] and number["sampler"] != REAL
    return f" {NOT_LEARNED}" if unlearned and not math.isnan(number["mean"]) else ""


# What a row is called that is of no sampler.
_KINDS = {"": "measured", REAL: "real images"}


def _cells(content: TableResults, line: str) -> list[Cell | None]:
    """The cells of one of a table's lines, one for each column."""
    found = {cell.label: cell for cell in content.table.cells if cell.row == line}
    return [found.get(column) for column in content.table.columns]


def _line(content: TableResults, data: pd.DataFrame, view: View) -> pd.DataFrame:
    """The numbers of one line of a metric, a row for each column of the table."""
    of_view = data[(data.sampler == view.sampler) & (data.extractor == view.extractor)]
    return of_view.set_index("column").reindex(content.table.columns)


def _best(content: TableResults, name: str, view: View, line: str) -> list[bool]:
    """Tell which cell of a row has the smallest mean.

    None has where fewer than two have :data:`bench.report.claims.LEAST_SEEDS` seeds that learned.
    """
    metric, cells = METRICS[name], _cells(content, line)
    if not metric.lower_is_better or view.sampler == REAL:
        return [False] * len(cells)
    values = [content.values(name, view, cell, learned=True) if cell else {} for cell in cells]
    means = {
        i: interval(list(each.values()), logarithmic=metric.logarithmic).mean
        for i, each in enumerate(values)
        if len(each) >= LEAST_SEEDS
    }
    smallest = min(means, key=lambda i: means[i]) if len(means) > 1 else None
    return [i == smallest for i in range(len(cells))]


# Digits that a number is printed with: so many after the point, or so many that count.
_Form = Callable[[float], str]


def _form(part: pd.DataFrame, metric: Metric) -> _Form:
    """How the numbers of a row are printed."""
    if metric.by_view and metric.decimals is None:
        return significant
    decimals = metric.decimals
    if decimals is None:
        means = part["mean"].dropna()
        whole = part.n.max() <= 1 and (means == means.round()).all()
        decimals = 0 if whole else 1
    return lambda value: f"{value:.{decimals}f}"


def significant(value: float) -> str:
    """A number rounded to three digits that count, five decimals at most: ``0.224``, ``37800``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    rounded = f"{value:.2e}"
    power = int(rounded.partition("e")[2])
    return f"{float(rounded):.{min(5, max(0, 2 - power))}f}"


def _as_printed(values: pd.Series) -> list[str]:
    """Whole numbers as such, a row with others to one decimal, as the supplement has them."""
    decimals = 0 if (values.dropna() == values.dropna().round()).all() else 1
    return [MISSING if math.isnan(value) else f"{value:.{decimals}f}" for value in values]


def _measured(number: Mapping[Hashable, Any], form: _Form) -> str:
    mean, low, high = (number[name] for name in ("mean", "low", "high"))
    if math.isnan(mean):
        return MISSING
    if not math.isnan(number["deviation"]):
        decimals = len(form(mean).partition(".")[2])
        return f"{form(mean)} \N{PLUS-MINUS SIGN} {number['deviation']:.{decimals}f}"
    if math.isnan(low):
        return form(mean)
    if number["logarithmic"]:
        return f"{form(mean)} [{form(low)}, {form(high)}]"
    return f"{form(mean)} \N{PLUS-MINUS SIGN} {form(high - mean)}"


def signed(value: float, decimals: int) -> str:
    """A difference, with its sign."""
    return MISSING if math.isnan(value) else f"{value:+.{decimals}f}".replace("-", _MINUS)
