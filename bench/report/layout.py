"""The printed rows and footnotes of a table, before any markup."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.data import dataset
from bench.evaluation.extractors import extractor_spec
from bench.evaluation.protocol import COMPONENTS, components
from bench.experiments.spec import HEADLINE_SAMPLER, PRIOR, Cell, TableSpec
from bench.report.claims import LEAST_SEEDS, Standing, Verdict, judge
from bench.report.frame import Content, beside_printed
from bench.report.metrics import METRICS, REAL, Metric, View
from bench.report.reading import LEARNED_SHARE, error_share
from bench.report.statistics import ROUNDING, differences, interval

MISSING = "--"
_MINUS = "\N{MINUS SIGN}"
# Marks numbers of runs that have not learned.
_MARK = "\N{DAGGER}"


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


@dataclass(frozen=True)
class Note:
    """What is said below a table.

    Attributes:
        text: one or more sentences.
        details: what is behind it, each on a line of its own.
    """

    text: str
    details: Sequence[str] = ()


def rows(content: Content, data: pd.DataFrame) -> list[Row]:
    """The printed rows of a table: paper, measured and difference for each metric, then n."""
    result = []
    lines = list(dict.fromkeys(cell.row for cell in content.table.cells))
    for name, line in itertools.product(content.table.metrics, lines):
        metric = METRICS[name]
        of_metric = data[(data.metric == name) & (data.row == line)]
        views = list(dict.fromkeys(zip(of_metric.extractor, of_metric.sampler, strict=True)))
        first = _line(content, of_metric, View(*views[0]))
        for column, kind in (("paper", "paper"), ("known", "known answer")):
            if first[column].notna().any():
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
            part = _line(content, of_metric, view)
            best = _best(content, name, view, line)
            form = _form(part, metric)
            cells = [
                Text(_measured(number, form) + _mark(number), number["mean"], bold)
                for number, bold in zip(part.to_dict("records"), best, strict=True)
            ]
            label = f"{metric.label} ({extractor})" if extractor else metric.label
            result.append(Row(label, line, _KINDS.get(sampler, sampler), cells))
            if part.difference.notna().any():
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
    """Yes or no for each mean that a printed number stands against."""
    return [
        Text(MISSING, math.nan)
        if math.isnan(number["difference"]) or number["not_learned"]
        else Text(
            "yes" if metric.reproduces(number["mean"], number["paper"]) else "no",
            number["difference"],
        )
        for number in part.to_dict("records")
    ]


def _mark(number: Mapping[Hashable, Any]) -> str:
    return f" {_MARK}" if number["not_learned"] and number["sampler"] != REAL else ""


# What a row is called that is of no sampler.
_KINDS = {"": "measured", REAL: "real images"}


def _cells(content: Content, line: str) -> list[Cell | None]:
    """The cells of one of a table's lines, one for each column."""
    found = {cell.label: cell for cell in content.table.cells if cell.row == line}
    return [found.get(column) for column in content.table.columns]


def _line(content: Content, data: pd.DataFrame, view: View) -> pd.DataFrame:
    """The numbers of one line of a metric, a row for each column of the table."""
    of_view = data[(data.sampler == view.sampler) & (data.extractor == view.extractor)]
    return of_view.set_index("column").reindex(content.table.columns)


def _best(content: Content, name: str, view: View, line: str) -> list[bool]:
    """Which cells of a row cannot be told from the best one: by the paired t test, 5 % two-sided.

    None where fewer than :data:`bench.report.claims.LEAST_SEEDS` seeds leave nothing to test by.
    """
    metric, cells = METRICS[name], _cells(content, line)
    values = [content.values(name, view, cell, learned=True) if cell else {} for cell in cells]
    means = [
        interval(list(each.values()), logarithmic=metric.logarithmic).mean
        if len(each) >= LEAST_SEEDS
        else math.nan
        for each in values
    ]
    known = [mean for mean in means if not math.isnan(mean)]
    if not metric.lower_is_better or view.sampler == REAL or len(known) < 2:
        return [False] * len(cells)
    smallest = values[means.index(min(known))]
    return [
        not math.isnan(mean)
        and (each is smallest or not _exceeds(each, smallest, metric.logarithmic))
        for mean, each in zip(means, values, strict=True)
    ]


def _exceeds(larger: Mapping[int, float], smaller: Mapping[int, float], logarithmic: bool) -> bool:
    """Whether numbers can be told from smaller ones; without common seeds nobody can say no."""
    found = differences(smaller, larger, logarithmic=logarithmic)
    return len(found) < LEAST_SEEDS or interval(found).low > 0


def notes(content: Content, data: pd.DataFrame) -> list[Note]:
    """What must be said of the numbers, and what they say of the paper's claims."""
    verdicts = [verdict for verdict in judge(content) if verdict.standing is not Standing.NOT_RUN]
    said = [*_notes(content, data), *(f"{MISSING} {reason}" for reason in content.missing)]
    return [*map(Note, said), *map(_claim_note, verdicts)]


def _claim_note(verdict: Verdict) -> Note:
    """What became of a claim, and what that rests on."""
    return Note(f"Claim: {verdict.claim.statement}: {verdict.text}.", verdict.evidence)


def _notes(content: Content, data: pd.DataFrame) -> list[str]:
    """Seeds, extractor, samplers, profile, data, departures."""
    metrics = [METRICS[name] for name in content.table.metrics]
    result = [_seeds_note(content, data)]
    if "rank" in content.table.metrics:
        result.append(
            "Latent rank: singular values of the test codes' covariance above "
            f"{content.reading.rank_threshold:g} of the largest."
        )
    if data.n.max() > 1 and any(metric.whole for metric in metrics):
        result.append(
            "Ranks are whole numbers: their standard deviation over seeds counts as at least that "
            f"of rounding, {ROUNDING:.2f}."
        )
    for name, metric in zip(content.table.metrics, metrics, strict=True):
        part = beside_printed(data, name)
        if metric.near and len(part):
            result.append(_reproduced_note(metric, metric.near, part, content.table.axis))
    if "effective_rank" in content.table.metrics:
        result.append(
            "Effective rank: exponential of the entropy of the normalised singular values (Roy "
            "and Vetterli 2007)."
        )
    if "told_apart" in content.table.metrics:
        result.append(
            "Real called real, samples called samples: leave-one-out accuracy of one nearest "
            "neighbour in the extractor's features, 0.5 where nothing tells the two apart. Told "
            "from real: mean distance of the two from what real training images reach; 0 is best."
        )
    if any(metric.by_view for metric in metrics):
        result += fid_notes(content)
    result += run_notes(content)
    caveats = dict.fromkeys(text for text in data.paper_caveat if text)
    return [*result, *(f"{text}." for text in caveats), *content.table.notes]


def _reproduced_note(
    metric: Metric, near: tuple[float, float], part: pd.DataFrame, axis: str
) -> str:
    """What counts as reproduced, and where the runs are enough to be sure of it."""
    sure = [
        f"{number['row']} {number['column']}".strip()
        for number in part[part.not_learned == ""].to_dict("records")
        if all(metric.reproduces(number[end], number["paper"]) for end in ("low", "high"))
    ]
    whole = (
        f"The whole interval lies there at {axis} {', '.join(sure)}."
        if sure
        else "In no column does the whole interval lie there."
    )
    return (
        f"Reproduced: the mean is within {near[0]:.0%} of the printed number or within "
        f"{near[1]:g} of it. {whole}"
    )


def _seeds_note(content: Content, data: pd.DataFrame) -> str:
    """What the measured numbers are over, and which of them can be in bold."""
    seeds = data.groupby(["row", "column"]).n.max()
    if seeds.max() == 0:
        return "Measured: nothing yet."
    if seeds.max() == 1:
        return "Measured: one seed, so no interval and nothing in bold."
    text = "Measured: mean over n seeds with its 95 % interval (Student t)"
    if data.logarithmic.any():
        text += ", of FIDs and errors the geometric mean, its interval in brackets"
    if not any(METRICS[name].lower_is_better for name in content.table.metrics):
        return f"{text}."
    enough = seeds >= LEAST_SEEDS
    if enough.groupby("row").sum().max() < 2:
        return (
            f"{text}; fewer than two columns have the {LEAST_SEEDS} seeds that a test needs, so "
            "nothing is in bold."
        )
    bold = "Bold: cannot be told from the smallest of its row (paired t test, 5 %)"
    if ((seeds > 0) & ~enough).any():
        bold += f", where columns with fewer than {LEAST_SEEDS} seeds take no part"
    return f"{text}. {bold}."


def fid_notes(content: Content) -> list[str]:
    """What must be said of FIDs, in a table or a figure."""
    spec = content.table.cells[0].measurement
    result = [_extractors_note(content)] if content.extractors else []
    samplers = list(dict.fromkeys(view.sampler for view in content.views("fid")))
    fitted = [name for name in samplers if name in COMPONENTS]
    shown = [f"{name}: {_gaussians(name, content)}" for name in fitted]
    if fitted:
        shown[-1] += f"; {'each ' if fitted[1:] else ''}{_FITTED}"
    if PRIOR in samplers:
        shown.append(f"{PRIOR}: N(0, I), of methods that have this prior")
    named = "; ".join(shown)
    result.append(
        f"FID of {spec.fid_samples:,} samples against {spec.test_images:,} test images"
        + (f". {named}. real images: as many of the training set, the floor." if shown else ".")
    )
    return result


_FITTED = "with full covariance, fitted to all training codes"


def _gaussians(sampler: str, content: Content) -> str:
    count = components(sampler, content.table.cells[0].training.train_images)
    return f"{count} Gaussians" if count > 1 else "one Gaussian"


def headline_note(content: Content) -> str:
    """What the samples that a figure shows are drawn from."""
    return f"Sampler {HEADLINE_SAMPLER}: {_gaussians(HEADLINE_SAMPLER, content)} {_FITTED}."


def run_notes(content: Content) -> list[str]:
    """What must be said of runs, in a table or a figure: data, profile, departures."""
    table, run = content.table, content.table.cells[0].training
    result = [
        f"Data: {dataset(run.dataset).description}. Profile {content.profile}: {_settings(table)}."
    ]
    shares = {
        cell.name: [
            f"{error_share(each):.0%}"
            for each in content.results.get(cell, ())
            if not content.reading.learned(each)
        ]
        for cell in table.cells
    }
    named = "; ".join(f"{place}: {', '.join(each)}" for place, each in shares.items() if each)
    if named:
        result.append(
            f"{_MARK} Not learned, and left out of verdicts and bold: test error above "
            f"{LEARNED_SHARE:.0%} of the mean training image's ({table.axis} {named})."
        )
    if run.width != 1:
        result.append(
            f"Networks are narrowed: {_fraction(run.width)} of the printed numbers of channels."
        )
    if run.shuffle:
        result.append("Images are shuffled every epoch; the authors' code keeps their order.")
    if not content.profile.startswith("paper"):
        result.append("Not the paper's setting: see the profile. Compare orders, not values.")
    return result


def _settings(table: TableSpec) -> str:
    """How the runs of a table were trained, by column where that differs."""
    runs = {cell: cell.training for cell in table.cells}
    texts = {
        cell: (
            f"{run.train_images:,} training images, {run.epochs} epochs, batch {run.batch_size}, "
            f"Adam at {run.learning_rate:g}, {run.precision}"
        )
        for cell, run in runs.items()
    }
    return _by_column(table, texts)


def seeds_text(table: TableSpec, shown: Mapping[Cell, Collection[int]]) -> str:
    """Which seeds a figure shows of each column: ``0, 1`` where these are the same for all."""
    listed = {cell: ", ".join(map(str, sorted(seeds))) for cell, seeds in shown.items() if seeds}
    return _by_column(table, listed) or "none"


def _by_column(table: TableSpec, texts: Mapping[Cell, str]) -> str:
    """A text once where all columns have the same, or else each with the names of its columns."""
    columns: dict[str, list[str]] = {}
    for cell, text in texts.items():
        columns.setdefault(text, []).append(cell.name)
    if len(columns) == 1:
        return next(iter(columns))
    axis = before_columns(table, " ")
    return "; ".join(f"{text} ({axis}{', '.join(names)})" for text, names in columns.items())


def before_columns(table: TableSpec, sign: str) -> str:
    """What stands before columns' names, with a sign behind it: a number needs its axis.

    A method's name needs nothing.
    """
    return "" if "method" in table.varies else f"{table.axis}{sign}"


def _fraction(width: float) -> str:
    return f"1/{1 / width:.0f}" if width < 1 and (1 / width).is_integer() else f"{width:g}"


def _extractors_note(content: Content) -> str:
    """Which networks looked at the images, and how many seeds of each column each has seen."""
    data = dataset(content.table.cells[0].training.dataset)
    named = []
    for name in content.extractors:
        spec = extractor_spec(name, data)
        weights = f"{spec.dimensions} features, weights {spec.checksum[:8]}"
        described = f"{name}: {spec.description} ({weights})"
        named.append(described + _seen_less(content, name))
    text = f"FID extractors: {'; '.join(named)}." if named[1:] else f"FID extractor: {named[0]}."
    if content.extractors == ["inception"]:
        return text
    paper = ": only their order can be held against the paper's" if content.table.published else ""
    return f"{text} FIDs through another network than Inception are on another scale{paper}."


def _seen_less(content: Content, extractor: str) -> str:
    """Of which columns an extractor has not seen every seed, since their weights are gone."""
    seen = {
        cell: sum(extractor in result.extractors for result in results)
        for cell, results in content.results.items()
    }
    short = [
        f"{cell.name} {count} of {len(content.results[cell])}"
        for cell, count in seen.items()
        if count < len(content.results[cell])
    ]
    return f", of fewer seeds than the ranks ({', '.join(short)})" if short else ""


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
    """A number rounded to three digits that count: ``0.224``, ``7.70``, ``37800``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    rounded = f"{value:.2e}"
    power = int(rounded.partition("e")[2])
    return f"{float(rounded):.{max(0, 2 - power)}f}"


def _as_printed(values: pd.Series) -> list[str]:
    """Whole numbers as such, a row with others to one decimal, as the supplement has them."""
    decimals = 0 if (values.dropna() == values.dropna().round()).all() else 1
    return [MISSING if math.isnan(value) else f"{value:.{decimals}f}" for value in values]


def _measured(number: Mapping[Hashable, Any], form: _Form) -> str:
    mean, low, high = (number[name] for name in ("mean", "low", "high"))
    if math.isnan(mean):
        return MISSING
    # Real images are the same for every seed.
    if math.isnan(low) or number["sampler"] == REAL:
        return form(mean)
    if number["logarithmic"]:
        return f"{form(mean)} [{form(low)}, {form(high)}]"
    return f"{form(mean)} \N{PLUS-MINUS SIGN} {form(high - mean)}"


def signed(value: float, decimals: int) -> str:
    """A difference, with its sign."""
    return MISSING if math.isnan(value) else f"{value:+.{decimals}f}".replace("-", _MINUS)


def title(content: Content) -> str:
    """A table's heading: what, on which data, and its number where the supplement has it."""
    return title_of(content.table.title, content.table.name, content)


def title_of(text: str, name: str, content: Content) -> str:
    """A heading for a table or figure of that name."""
    table = content.table
    heading = f"{text} on {table.cells[0].training.dataset}"
    for kind in ("table", "figure"):
        if (number := name.removeprefix(kind)).isdigit():
            return f"{heading}: {kind.title()} {number} of the supplement"
    if table.published and table.name != table.published:
        heading += f", beside Table {table.published.removeprefix('table')}'s numbers of other data"
    return heading
