"""The printed rows and footnotes of a table, before any markup."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.data import dataset
from bench.evaluation.protocol import FOLDS, NEIGHBOURS
from bench.experiments.spec import TableSpec
from bench.report.claims import claim_notes, judge
from bench.report.frame import METRICS, Content

MISSING = "--"
_MINUS = "\N{MINUS SIGN}"
SAMPLERS = {
    "gmm10": "Gaussian mixture of 10 components with full covariance",
    "gmm4": "Gaussian mixture of 4 components with full covariance",
    "mvg": "one Gaussian with full covariance",
}


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
        metric: what it is of.
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


def rows(content: Content, data: pd.DataFrame) -> list[Row]:
    """The printed rows of a table: paper, measured and difference for each metric, then n."""
    result = []
    lines = list(dict.fromkeys(cell.row for cell in content.table.cells))
    for name, line in itertools.product(content.table.metrics, lines):
        metric = METRICS[name]
        part = _line(content, data, name, line)
        decimals = _decimals(part, metric.decimals)
        grey = not part.comparable.all()
        for column, kind in (("paper", "paper"), ("known", "known answer")):
            if part[column].notna().any():
                best = _best(part[column], metric.lower_is_better)
                printed = zip(_as_printed(part[column]), part[column], best, strict=True)
                cells = [Text(text, value, bold, grey) for text, value, bold in printed]
                remark = ", not comparable" if grey else ""
                result.append(Row(metric.label, line, kind + remark, cells))
        best = _best(part["mean"], metric.lower_is_better)
        cells = [
            Text(_measured(mean, high - mean, decimals), mean, bold)
            for mean, high, bold in zip(part["mean"], part.high, best, strict=True)
        ]
        kind = f"measured, {content.reading.sampler}" if name == "fid" else "measured"
        result.append(Row(metric.label, line, kind, cells))
        if part.difference.notna().any():
            cells = [Text(_signed(value, decimals), value) for value in part.difference]
            result.append(Row(metric.label, line, "difference", cells))
    for line in lines:
        first = _line(content, data, content.table.metrics[0], line)
        cells = [Text(f"{n:.0f}", n) for n in first.n.fillna(0)]
        result.append(Row("Seeds", line, "n", cells))
    return result


def _line(content: Content, data: pd.DataFrame, metric: str, line: str) -> pd.DataFrame:
    """The numbers of one line of a metric, a row for each column of the table."""
    part = data[(data.metric == metric) & (data.row == line)].set_index("column")
    return part.reindex(content.table.columns)


def notes(content: Content, data: pd.DataFrame) -> list[str]:
    """What must be said of the numbers: seeds, extractor, sampler, profile, data, departures."""
    result = [_seeds_note(data)]
    if "rank" in content.table.metrics:
        result.append(
            "Latent rank: singular values of the test codes' covariance above "
            f"{content.reading.rank_threshold:g} of the largest."
        )
    if "told_apart" in content.table.metrics:
        result.append(
            f"Told apart: accuracy of {NEIGHBOURS + 1} nearest neighbours that tell samples from "
            f"test images by their pixels, {FOLDS}-fold cross-validation; 0.5 where they cannot."
        )
    result += fid_notes(content) + run_notes(content)
    caveats = dict.fromkeys(text for text in data.paper_caveat if text)
    result += [*(f"{text}." for text in caveats), *content.table.notes]
    return [
        *result,
        *(f"{MISSING} {reason}" for reason in content.missing),
        *claim_notes(judge(content)),
    ]


def _seeds_note(data: pd.DataFrame) -> str:
    most = int(data.n.max())
    if most > 1:
        return "Measured: mean over n seeds with its 95 % interval (Student t)."
    return "Measured: one seed, so no interval." if most == 1 else "Measured: nothing yet."


def fid_notes(content: Content) -> list[str]:
    """What must be said of FIDs, in a table or a figure."""
    spec, sampler = content.table.cells[0].measurement, content.reading.sampler
    result = []
    extractor = content.extractor
    if extractor is not None:
        result.append(_extractor_note(content, extractor))
    result.append(
        f"FID of {spec.fid_samples:,} samples against {spec.test_images:,} test images; sampler "
        f"{sampler}: {SAMPLERS[sampler]}, fitted to all training codes in the subspace that "
        "carries variance."
    )
    return result


def run_notes(content: Content) -> list[str]:
    """What must be said of runs, in a table or a figure: data, profile, departures."""
    table, run = content.table, content.table.cells[0].training
    result = [
        f"Data: {dataset(run.dataset).description}. Profile {content.profile}: {_settings(table)}."
    ]
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
    columns: dict[str, list[str]] = {}
    for cell in table.cells:
        run = cell.training
        text = (
            f"{run.train_images:,} training images, {run.epochs} epochs, batch {run.batch_size}, "
            f"Adam at {run.learning_rate:g}, {run.precision}"
        )
        columns.setdefault(text, []).append(cell.label)
    if len(columns) == 1:
        return next(iter(columns))
    return "; ".join(f"{text} ({', '.join(labels)})" for text, labels in columns.items())


def _fraction(width: float) -> str:
    return f"1/{1 / width:.0f}" if width < 1 and (1 / width).is_integer() else f"{width:g}"


def _extractor_note(content: Content, extractor: Mapping[str, str | int]) -> str:
    weights = f"{extractor['dimensions']} features, weights {str(extractor['checksum'])[:8]}"
    if extractor["name"] == "inception":
        note = f"FID extractor: Inception ({weights})."
    else:
        data = dataset(content.table.cells[0].training.dataset)
        kind = {
            "classifier": f"the classifier of {data.part_of or data.name} that the suite ships",
            "classifier-local": f"a classifier of {data.name} that was trained on this machine",
            "simclr-local": f"a network that was trained on {data.name} by contrast, here",
        }
        note = (
            f"FID extractor: not Inception but {kind[str(extractor['name'])]} ({weights}), whose "
            "distances are on another scale"
        )
        paper = ": only their order can be held against the paper's."
        note += paper if content.table.published else "."
    if content.foreign:
        names = ", ".join(result.run_id for result in content.foreign)
        note += f" Left out of the FID, since measured with other weights: {names}."
    return note


def _best(values: pd.Series, lower_is_better: bool) -> list[bool]:
    known = values.notna().sum()
    if not lower_is_better or known < 2:
        return [False] * len(values)
    return [bool(value == values.min()) for value in values]


def _decimals(part: pd.DataFrame, given: int | None) -> int:
    if given is not None:
        return given
    means = part["mean"].dropna()
    if part.n.max() <= 1 and (means == means.round()).all():
        return 0
    return 1 if means.max() >= 10 else 2


def _as_printed(values: pd.Series) -> list[str]:
    """Whole numbers as such, a row with others to one decimal, as the supplement has them."""
    decimals = 0 if (values.dropna() == values.dropna().round()).all() else 1
    return [MISSING if math.isnan(value) else f"{value:.{decimals}f}" for value in values]


def _measured(mean: float, half_width: float, decimals: int) -> str:
    if math.isnan(mean):
        return MISSING
    text = f"{mean:.{decimals}f}"
    if math.isnan(half_width):
        return text
    return f"{text} \N{PLUS-MINUS SIGN} {half_width:.{decimals}f}"


def _signed(value: float, decimals: int) -> str:
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
