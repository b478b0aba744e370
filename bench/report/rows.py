"""The printed rows of a table, before any markup."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.experiments.spec import PRIOR
from bench.report.claims import LEAST_SEEDS
from bench.report.frame import TableResults
from bench.report.metrics import METRICS, REAL, Metric, View

MISSING = "--"
# Marks numbers of runs that have not learned.
NOT_LEARNED = "\N{DAGGER}"


@dataclass(frozen=True)
class Text:
    """One cell as it is printed."""

    text: str
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
    result: list[Row] = []
    lines = content.table.rows
    for name, line in itertools.product(content.table.metrics, lines):
        of_metric = data[data.metric == name]
        of_line = of_metric[of_metric.row == line]
        views = content.views(name)
        result += _printed(METRICS[name], line, _line(content, of_line, views[0]))
        for view in views:
            if view.sampler != REAL:
                result += _of_view(content, name, view, line, of_line)
            elif line == lines[-1]:
                # Real images are the same for every run, and so stand once, below all lines.
                columns = ["column", "extractor", "sampler"]
                once = of_metric.dropna(subset="mean").drop_duplicates(columns)
                result += _of_view(content, name, view, "", once)
    seeds = {place: len(content.results.get(c, ())) for place, c in content.table.places.items()}
    of_samples = data[(data.extractor != "") & (data.sampler != REAL)]
    measured = of_samples.groupby(["extractor", "row", "column"], sort=False).n.max()
    for line in lines:
        counts = [seeds.get((line, column), 0) for column in content.table.columns]
        result.append(Row("Seeds", line, "n", [Text(str(count)) for count in counts]))
        for extractor in measured.index.unique("extractor"):
            seen = [measured.get((extractor, line, c), 0) for c in content.table.columns]
            if seen != counts:
                texts = [Text(str(count)) for count in seen]
                result.append(Row(f"Seeds ({extractor})", line, "n", texts))
    return result


def _printed(metric: Metric, line: str, numbers: pd.DataFrame) -> Iterator[Row]:
    """Rows of what the paper prints, and of what is known of the data."""
    for column, kind in (("paper", "paper"), ("answer", "known answer")):
        there = numbers[column].notna()
        if there.any() and not metric.printed_as:
            found = zip(numbers[column], numbers.comparable, strict=True)
            cells = [Text(as_printed(value, metric), grey=not like) for value, like in found]
            remark = "" if numbers.comparable[there].any() else ", not comparable"
            yield Row(metric.label, line, kind + remark, cells)


def _of_view(
    content: TableResults, name: str, view: View, line: str, data: pd.DataFrame
) -> Iterator[Row]:
    """Rows of what was measured, and how far it is from what is printed."""
    metric, numbers = METRICS[name], _line(content, data, view)
    # There is no row of real images that nobody has looked at, nor of an epoch that no run has.
    if (view.sampler == REAL or metric.printed_as) and numbers["mean"].isna().all():
        return
    form, best = _form(numbers, metric), _best(content, line, numbers, metric, view)
    records = numbers.to_dict("records")
    measured = [_measured(number, form) for number in records]
    reproduced = [_reproduced(number, metric) for number in records]
    if metric.printed_as:
        both = zip(measured, reproduced, strict=True)
        measured = [text if said == MISSING else f"{text}, {said}" for text, said in both]
    label = f"{metric.label} ({view.extractor})" if view.extractor else metric.label
    yield Row(label, line, _KINDS.get(view.sampler, view.sampler), list(map(Text, measured, best)))
    if numbers.difference.notna().any() and not metric.printed_as:
        kind = f"difference, {view.sampler}" if view.sampler else "difference"
        yield Row(label, line, kind, [Text(signed(value)) for value in numbers.difference])
        if metric.near and numbers.paper.notna().any():
            yield Row(label, line, "reproduced", list(map(Text, reproduced)))


def _reproduced(number: Mapping[Hashable, Any], metric: Metric) -> str:
    """What the interval of a mean says of the printed number: in full, the mean only, or no."""
    if math.isnan(number["difference"]) or number["seeds_not_learned"]:
        return MISSING
    printed, margin = number["paper"], metric.margin(number["paper"])
    mean, *ends = (abs(number[name] - printed) <= margin for name in ("mean", "low", "high"))
    if not mean:
        return "no"
    return "yes" if all(ends) else "mean only"


# What a row is called that is of no sampler.
_KINDS = {"": "measured", REAL: "real images"}


def _line(content: TableResults, data: pd.DataFrame, view: View) -> pd.DataFrame:
    """The numbers of one line of a metric, a row for each column of the table."""
    of_view = data[(data.sampler == view.sampler) & (data.extractor == view.extractor)]
    return of_view.set_index("column").reindex(content.table.columns)


def _best(
    content: TableResults, line: str, numbers: pd.DataFrame, metric: Metric, view: View
) -> list[bool]:
    """Tell which number of a row is the smallest mean.

    No number is best where a column has fewer than :data:`bench.report.claims.LEAST_SEEDS` seeds,
    but for runs without a prior in the row of priors; nor where fewer than two have learned, or
    where columns are of different data.
    """
    few = numbers.n < LEAST_SEEDS
    if view.sampler == PRIOR:
        ran = {cell.label for cell, runs in content.results.items() if runs and cell.row == line}
        few &= (numbers.n > 0) | ~numbers.index.isin(ran)
    means = numbers["mean"].where(numbers.seeds_not_learned == "")
    alike = not few.any() and means.count() > 1 and numbers.dataset.nunique() == 1
    if not alike or not metric.lower_is_better or view.sampler == REAL:
        return [False] * len(means)
    return (means == means.min()).tolist()


# Digits that a number is printed with: so many after the point, or so many that count.
_Form = Callable[[float], str]


def _form(part: pd.DataFrame, metric: Metric) -> _Form:
    """How the numbers of a row are printed."""
    decimals = metric.decimals
    if decimals is None and not metric.whole:
        return significant
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


def as_printed(value: float, metric: Metric) -> str:
    """A number of the paper: ranks are whole, others have one decimal, as the supplement's have."""
    return MISSING if math.isnan(value) else f"{value:.{0 if metric.whole else 1}f}"


def _measured(number: Mapping[Hashable, Any], form: _Form) -> str:
    mean, low, high = (number[name] for name in ("mean", "low", "high"))
    if math.isnan(mean):
        return MISSING
    text = form(mean)
    if not math.isnan(number["deviation"]):
        decimals = len(text.partition(".")[2])
        text += f" (SD {number['deviation']:.{decimals}f})"
    elif number["logarithmic"] and not math.isnan(low):
        text += f" [{form(low)}, {form(high)}]"
    elif not math.isnan(low):
        text += f" \N{PLUS-MINUS SIGN} {form(high - mean)}"
    unlearned = number["seeds_not_learned"] and number["sampler"] != REAL
    return f"{text} {NOT_LEARNED}" if unlearned else text


def signed(value: float) -> str:
    """A difference to one decimal, with its sign."""
    return MISSING if math.isnan(value) else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
