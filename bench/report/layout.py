"""The printed rows and footnotes of a table, before any markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.data import dataset
from bench.report.frame import METRICS, Content

MISSING = "--"
_MINUS = "\N{MINUS SIGN}"
_SAMPLERS = {
    "gmm10": "Gaussian mixture of 10 components with full covariance",
    "gmm4": "Gaussian mixture of 4 components with full covariance",
    "mvg": "one Gaussian with full covariance",
}


@dataclass(frozen=True)
class Text:
    """One cell as it is printed."""

    text: str
    best: bool = False
    grey: bool = False


@dataclass(frozen=True)
class Row:
    """One printed row: what it is of, which of its numbers, and the cells."""

    label: str
    kind: str
    cells: Sequence[Text]


def rows(content: Content, data: pd.DataFrame) -> list[Row]:
    """The printed rows of a table: paper, measured and difference for each metric, then n."""
    result = []
    for name in content.table.metrics:
        metric, part = METRICS[name], data[data.metric == name]
        decimals = _decimals(part, metric.decimals)
        grey = not part.comparable.all()
        for column, kind in (("paper", "paper"), ("known", "known answer")):
            if part[column].notna().any():
                texts = _as_printed(part[column])
                best = _best(part[column], metric.lower_is_better)
                cells = [Text(t, b, grey) for t, b in zip(texts, best, strict=True)]
                remark = ", not comparable" if grey else ""
                result.append(Row(metric.label, kind + remark, cells))
        texts = [
            _measured(mean, high - mean, decimals)
            for mean, high in zip(part["mean"], part.high, strict=True)
        ]
        best = _best(part["mean"], metric.lower_is_better)
        kind = f"measured, {content.sampler}" if name == "fid" else "measured"
        cells = [Text(t, b) for t, b in zip(texts, best, strict=True)]
        result.append(Row(metric.label, kind, cells))
        if part.difference.notna().any():
            cells = [Text(_signed(value, decimals)) for value in part.difference]
            result.append(Row(metric.label, "difference", cells))
    first = data[data.metric == content.table.metrics[0]]
    result.append(Row("Seeds", "n", [Text(str(n)) for n in first.n]))
    return result


def notes(content: Content, data: pd.DataFrame) -> list[str]:
    """What must be said of the numbers: seeds, extractor, sampler, profile, data, departures."""
    table, run = content.table, content.table.cells[0].run
    result = []
    most = int(data.n.max())
    if most > 1:
        result.append("Measured: mean over n seeds with its 95 % interval (Student t).")
    elif most == 1:
        result.append("Measured: one seed, so no interval.")
    else:
        result.append("Measured: nothing yet.")
    result.append(
        "Latent rank: singular values of the test codes' covariance above 1e-3 of the largest."
    )
    extractor = content.extractor
    if extractor is not None:
        result.append(_extractor_note(content, extractor))
    result.append(
        f"FID of {run.fid_samples:,} samples against {run.test_images:,} test images; sampler "
        f"{content.sampler}: {_SAMPLERS[content.sampler]}, fitted to {run.sampler_codes:,} "
        "training codes in the subspace that carries variance."
    )
    result.append(
        f"Data: {dataset(run.dataset).description}. Profile {content.profile}: "
        f"{run.train_images:,} training images, {run.epochs} epochs, batch {run.batch_size}, "
        f"Adam at {run.learning_rate:g}, {run.precision}."
    )
    if run.shuffle:
        result.append("Images are shuffled every epoch; the authors' code keeps their order.")
    if not content.profile.startswith("paper"):
        result.append("Not the paper's setting: see the profile. Compare orders, not values.")
    result += table.notes
    result += [f"{MISSING} {reason}" for reason in content.missing]
    return result


def _extractor_note(content: Content, extractor: Mapping[str, str | int]) -> str:
    weights = f"{extractor['dimensions']} features, weights {str(extractor['checksum'])[:8]}"
    if extractor["name"] == "inception":
        note = f"FID extractor: Inception ({weights})."
    else:
        name = content.table.cells[0].run.dataset
        note = (
            f"FID extractor: not Inception but a classifier of {name} ({weights}), whose distances "
            "are on another scale: only their order can be held against the paper's."
        )
    if content.foreign:
        names = ", ".join(record.run_id for record in content.foreign)
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
    """The table's heading: what, on which data, and its number where the supplement has it."""
    table = content.table
    heading = f"{table.title} on {table.cells[0].run.dataset}"
    number = table.name.removeprefix("table")
    return f"{heading}: Table {number} of the supplement" if number.isdigit() else heading
