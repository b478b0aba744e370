"""What is said above and below a table or figure: titles, what its numbers are, verdicts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.data import dataset
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.protocol import COMPONENTS, components
from bench.experiments.spec import HEADLINE_SAMPLER, PRIOR, Cell, FigureSpec, TableSpec
from bench.report.claims import LEAST_SEEDS, Standing, judge
from bench.report.display import LEARNED_SHARE, error_share
from bench.report.frame import TableResults, beside_printed
from bench.report.metrics import METRICS, View
from bench.report.rows import MISSING, NOT_LEARNED, Row
from bench.report.statistics import ROUNDING
from bench.screen import counted


@dataclass(frozen=True)
class Note:
    """What is said below a table.

    Attributes:
        text: one or more sentences.
        details: what is behind it, each on a line of its own.
    """

    text: str
    details: Sequence[str] = ()


def notes(content: TableResults, data: pd.DataFrame, printed: Sequence[Row]) -> list[Note]:
    """What must be said of the numbers, and what they say of the paper's claims."""
    verdicts = [verdict for verdict in judge(content) if verdict.standing is not Standing.NOT_RUN]
    said = [*_notes(content, data, printed), *(f"{MISSING} {reason}" for reason in content.missing)]
    claims = (Note(f"Claim: {v.claim.statement}: {v.text}.", v.evidence) for v in verdicts)
    return [*map(Note, said), *claims]


def _notes(content: TableResults, data: pd.DataFrame, printed: Sequence[Row]) -> list[str]:
    """Seeds, extractor, samplers, profile, data, departures."""
    metrics = [METRICS[name] for name in content.table.metrics]
    result = [_seeds_note(content, data, printed)]
    if "rank" in content.table.metrics:
        result.append(
            "Latent rank: singular values of the test codes' covariance above "
            f"{content.display.rank_threshold:g} of the largest{_of_means(content)}."
        )
    if data.n.max() > 1 and any(metric.whole for metric in metrics):
        result.append(
            "Ranks are whole numbers, so that equal ranks in a few seeds do not mean that nothing "
            "scatters: intervals take the standard deviation over seeds as at least "
            f"{ROUNDING:g}, that of a rank that falls equally often on two neighbouring numbers."
        )
    for name, metric in zip(content.table.metrics, metrics, strict=True):
        if metric.near and not metric.printed_as and len(beside_printed(data, name)):
            result.append(
                f"Reproduced: yes, if the whole interval is within {metric.near[0]:.0%} of the "
                f"printed number or within {metric.near[1]:g} of it; mean only, if the mean alone "
                "is; else no. The margin was chosen after the printed numbers were seen."
            )
    result += [text for name, text in _EXPLAINED.items() if name in content.table.metrics]
    if any(metric.by_view for metric in metrics):
        result += fid_notes(content)
    result += run_notes(content)
    caveats = dict.fromkeys(text for text in data.paper_caveat if text)
    return [*result, *(f"{text}." for text in caveats), *content.table.notes]


# What metrics are, by their names.
_EXPLAINED = {
    "effective_rank": "Effective rank: exponential of the entropy of the normalised singular "
    "values (Roy and Vetterli 2007).",
    "distance_from_real": "Real called real, samples called samples: leave-one-out accuracy of one "
    "nearest neighbour in the extractor's features, 0.5 where nothing tells the two apart. "
    "Distance from real: how far, on average, these two shares are from those that real training "
    "images reach in place of samples; 0 is best.",
    "kid": "KID: kernel distance (Binkowski et al. 2018), unbiased, so that it can be below 0.",
    "coverage": "Coverage: share of test images that have a sample within their five nearest other "
    "test images (Naeem et al. 2020); lost modes lower it, and 0.97 is the most that samples can "
    "be expected to reach.",
    "copied": "Copies: share of samples whose distance from the nearest training image, over that "
    "from the second, is below that of 99 in 100 test images; 0.01 where nothing is copied.",
}


def _of_means(content: TableResults) -> str:
    """Says that a VAE's rank is of its means: with noise, each direction would have a variance."""
    noisy = any("spectrum_sampled" in result.metrics for result in content.all_results)
    return "; for a VAE, of its codes without noise (the means)" if noisy else ""


def _seeds_note(content: TableResults, data: pd.DataFrame, printed: Sequence[Row]) -> str:
    """What the measured numbers are over, and which of them can be in bold."""
    seeds = data.groupby(["row", "column"]).n.max()
    if seeds.max() == 0:
        return "Measured: nothing yet."
    if seeds.max() == 1:
        return "Measured: one seed, so no interval and nothing in bold."
    text = "Measured: mean over n seeds with its 95 % interval (Student t)"
    if data.logarithmic.any():
        text += ", for FIDs and errors the geometric mean with its interval in brackets"
    if not any(METRICS[name].lower_is_better for name in content.table.metrics):
        return f"{text}."
    bold = f"the smallest mean of its row, where all columns have {LEAST_SEEDS} seeds or more"
    if not any(cell.best for row in printed for cell in row.cells):
        return f"{text}. Bold would be {bold}; there is none."
    claims = "; that is no test: the claims say what differs" * bool(content.table.claims)
    return f"{text}. Bold: {bold}{claims}."


def fid_notes(content: TableResults, *, samplers: bool = True) -> list[str]:
    """What must be said of FIDs, in a table or a figure, and of the samplers behind them."""
    spec = content.table.cells[0].measurement
    result = [_extractors_note(content)] if content.extractors else []
    names = list(dict.fromkeys(view.sampler for view in content.views("fid") if samplers))
    fitted = [name for name in names if name in COMPONENTS]
    shown = [f"{name}: {_gaussians(name, content)}" for name in fitted]
    if fitted:
        shown[-1] += f"; each {_FITTED}" if fitted[1:] else f" {_FITTED}"
    if PRIOR in names:
        shown.append(f"{PRIOR}: N(0, I), of methods that have this prior")
    named = "; ".join(shown)
    result.append(
        f"FID of {spec.fid_samples:,} samples against {spec.test_images:,} test images"
        + (f". {named}. real images: {_real_images(content)}." if shown else ".")
    )
    return result


def _real_images(content: TableResults) -> str:
    data = {cell.training.dataset for cell in content.table.cells}
    counts = {len(content.of_real("fid", e, d)) for e in content.extractors for d in data}
    cell = content.table.cells[0]
    count = min(cell.measurement.fid_samples, cell.training.train_images)
    text = f"{count:,} training images in place of samples"
    subsets = f"mean and standard deviation (SD) over {max(counts)} disjoint sets of {text}"
    return subsets if max(counts) > 1 else text


_FITTED = "with full covariance, fitted to all training codes"


def _gaussians(sampler: str, content: TableResults) -> str:
    count = components(sampler, content.table.cells[0].training.train_images)
    return f"{count} Gaussians" if count > 1 else "one Gaussian"


def headline_note(content: TableResults) -> str:
    """What the samples that a figure shows are drawn from."""
    return f"Sampler {HEADLINE_SAMPLER}: {_gaussians(HEADLINE_SAMPLER, content)} {_FITTED}."


def run_notes(content: TableResults) -> list[str]:
    """What must be said of runs, in a table or a figure: data, profile, departures."""
    table, run = content.table, content.table.cells[0].training
    data = {cell: dataset(cell.training.dataset).description for cell in table.cells}
    result = [f"Data: {_by_column(table, data)}. Profile {content.setting}: {_settings(table)}."]
    shares = {
        cell.name: [
            f"{error_share(each):.0%}"
            for each in content.results.get(cell, ())
            if not content.display.learned(each)
        ]
        for cell in table.cells
    }
    named = "; ".join(f"{place}: {', '.join(each)}" for place, each in shares.items() if each)
    if named:
        result.append(
            f"{NOT_LEARNED} Not learned, and left out of verdicts and bold: test error above "
            f"{LEARNED_SHARE:.0%} of the mean training image's ({table.axis} {named})."
        )
    if run.width != 1:
        part = 1 / run.width
        share = f"1/{part:.0f}" if part > 1 and part.is_integer() else f"{run.width:g}"
        result.append(f"Networks are narrowed: {share} of the printed numbers of channels.")
    if run.shuffle:
        result.append("Images are shuffled every epoch; the authors' code keeps their order.")
    if content.setting != "paper":
        result.append(
            "Not the paper's setting: see the profile. Compare columns with each other, not with "
            "printed values."
        )
    return result


def _settings(table: TableSpec) -> str:
    """How the runs of a table were trained, by column where that differs."""
    runs = {cell: cell.training for cell in table.cells}
    texts = {
        cell: f"{run.train_images:,} training images, {counted(run.epochs, 'epoch')}, "
        f"batch {run.batch_size}, Adam at {run.learning_rate:g}, {run.precision}"
        for cell, run in runs.items()
    }
    return _by_column(table, texts)


def seeds_text(table: TableSpec, shown: Mapping[Cell, Collection[int]]) -> str:
    """Name the seeds that a figure shows, by column where columns differ."""
    listed = {cell: ", ".join(map(str, sorted(seeds))) for cell, seeds in shown.items() if seeds}
    return _by_column(table, listed) or "none"


def _by_column(table: TableSpec, texts: Mapping[Cell, str]) -> str:
    """One text where all columns share it, else each text with the names of its columns.

    A text that more than ten columns share stands last, as "... elsewhere".
    """
    columns: dict[str, list[Cell]] = {}
    for cell, text in texts.items():
        columns.setdefault(text, []).append(cell)
    if len(columns) < 2:
        return next(iter(columns), "")
    most = max(columns, key=lambda text: len(columns[text]))
    # More names of columns than ten are too many to read.
    last = [f"{most} elsewhere"] if len(columns[most]) > 10 else []
    axis = before_columns(table, " ")
    named = [
        f"{text} ({axis}{', '.join(_names(table, cells))})"
        for text, cells in columns.items()
        if not (last and text == most)
    ]
    return "; ".join(named + last)


def _names(table: TableSpec, cells: Sequence[Cell]) -> list[str]:
    """Names of cells; a row of which all are among them is named once."""
    whole = {cell.row for cell in cells} - {c.row for c in table.cells if c not in cells} - {""}
    return list(dict.fromkeys(c.row if c.row in whole else c.name for c in cells))


def before_columns(table: TableSpec, sign: str) -> str:
    """The axis, with a sign behind it, to stand before columns' names; empty for methods' names."""
    return "" if "method" in table.varies else f"{table.axis}{sign}"


def _extractors_note(content: TableResults) -> str:
    """Name the networks that looked at the images, and the seeds that one has not seen."""
    named = []
    for name in content.extractors:
        # A plugin's column may be of other data, which the first column's classifier has not seen.
        run = next(each for each in content.all_results if name in each.extractors)
        spec = declared_extractor(name, dataset(run.spec.dataset))
        weights = f"{spec.dimensions} features, weights {spec.checksum[:8]}"
        described = f"{name}: {spec.description} ({weights})"
        named.append(described + _seen_less(content, name))
    text = f"FID extractors: {'; '.join(named)}." if named[1:] else f"FID extractor: {named[0]}."
    if content.extractors == ["inception"]:
        return text
    order = " and may order columns otherwise: a verdict is of the network that it names"
    scale = f"on another scale{order if content.table.published else ''}"
    return f"{text} FIDs through another network than Inception are {scale}."


def _seen_less(content: TableResults, extractor: str) -> str:
    """Name the columns of which not every seed has a number by an extractor, and by which metric.

    Weights may be gone, or have been when a metric was added.
    """
    of_images = [name for name in content.table.metrics if METRICS[name].by_view] or ["fid"]
    by_text: dict[str, list[str]] = {}
    for name in of_images:
        view = next((v for v in content.views(name) if v.extractor == extractor), View(extractor))
        short = "; ".join(
            f"{cell.name}: {seen} of {len(results)}"
            for cell, results in content.results.items()
            if (seen := len(content.values(name, view, cell))) < len(results)
        )
        by_text.setdefault(short, []).append(METRICS[name].label)
    axis = before_columns(content.table, " ")
    alike = len(by_text) == 1
    return "".join(
        f", which has measured {'' if alike else ', '.join(labels) + ' of '}fewer seeds "
        f"({axis}{short})"
        for short, labels in by_text.items()
        if short
    )


def title(shown: TableSpec | FigureSpec, content: TableResults) -> str:
    """A heading: what, on which data, and its number where the supplement has it."""
    heading = f"{shown.title} on {content.table.cells[0].training.dataset}"
    for kind in ("table", "figure"):
        if (number := shown.name.removeprefix(kind)).isdigit():
            return f"{heading}: {kind.title()} {number} of the supplement"
    return heading
