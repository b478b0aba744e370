"""What methods pay for a low rank: FID and test error against the rank, a line a method."""

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from bench.experiments.spec import HEADLINE_SAMPLER, FigureSpec
from bench.report.claims import LEAST_SEEDS, span
from bench.report.figures.style import caption, plain_numbers, styles
from bench.report.frame import TableResults, frame
from bench.report.metrics import METRICS, View
from bench.report.notes import fid_notes


def draw(figure: FigureSpec, content: TableResults) -> Figure:
    """A panel for the FID by each extractor and one for the test error.

    In each, a line for every row of the table, through its columns: means over seeds, with their
    95 % intervals.
    """
    display = replace(content.display, samplers=(HEADLINE_SAMPLER,))
    content = replace(content, display=display)
    data = frame(content)
    panels = [("fid", View(name, HEADLINE_SAMPLER)) for name in content.extractors]
    panels.append(("test_mse", View()))
    page = Figure(figsize=(4.4 * len(panels), 4.2), layout="tight")
    ranks = _of(data, "rank", View())
    axes_of = page.subplots(1, len(panels), squeeze=False)[0]
    for axes, (metric, view) in zip(axes_of, panels, strict=True):
        # One method alone is held against nothing.
        if ranks["mean"].notna().groupby("row").any().sum() > 1:
            _panel(axes, content, ranks, _of(data, metric, view))
        # A code may have collapsed to 0, and ranks of 4 and of 70 are to be read alike.
        axes.set_xscale("symlog", base=2, linthresh=1)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.set_xlabel("latent rank")
        shown = f" ({view.sampler}, {view.extractor})" if view.extractor else ""
        axes.set_ylabel(f"{METRICS[metric].label}{shown}")
    handles, labels = axes_of[-1].get_legend_handles_labels()
    if handles:
        page.legend(
            handles, labels, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0), fontsize=7
        )
    counts = [count for count in ranks.n if count] or [0]
    caption(
        page,
        [
            (
                "A line for each method, a point for each of its settings, in the legend's order. "
                f"Means over {span(counts)} seeds, with 95 % intervals (Student t) of points of at "
                f"least {LEAST_SEEDS} seeds that have all learned."
            ),
            *fid_notes(content),
        ],
    )
    return page


def _of(data: pd.DataFrame, metric: str, view: View) -> pd.DataFrame:
    of_metric = data[(data.metric == metric) & (data.extractor == view.extractor)]
    return of_metric[of_metric.sampler == view.sampler].set_index(["row", "column"])


def _panel(axes: Axes, content: TableResults, across: pd.DataFrame, up: pd.DataFrame) -> None:
    looks = styles(cell.training.method for cell in content.table.cells)
    for row in content.table.rows:
        cells = [cell for cell in content.table.cells if cell.row == row]
        places = [(cell.row, cell.label) for cell in cells]
        x, y = across.reindex(places), up.reindex(places)
        drawn = x["mean"].notna() & y["mean"].notna()
        x, y = x[drawn], y[drawn]
        if x.empty:
            continue
        look = looks[cells[0].training.method]
        axes.errorbar(
            x["mean"],
            y["mean"],
            xerr=_interval(x),
            yerr=_interval(y),
            **look,
            linewidth=1.2,
            ecolor=(look["color"], 0.4),
            elinewidth=0.8,
            label=row or cells[0].name,
        )
    unlearned = across.seeds_not_learned != ""
    if unlearned.any():
        points = across["mean"][unlearned], up["mean"].reindex(across.index)[unlearned]
        axes.errorbar(*points, fmt="kx", markersize=9, label="not learned")


def _interval(numbers: pd.DataFrame) -> list[pd.Series]:
    """From means down and up to the ends of their intervals, which are at least 0.

    With two seeds an interval is 18 times their standard deviation, and would hide everything else;
    so would that of a point of which one seed has learned and another has not.
    """
    shown = numbers.where((numbers.n >= LEAST_SEEDS) & (numbers.seeds_not_learned == ""))
    return [shown["mean"] - shown.low.clip(lower=0), shown.high - shown["mean"]]
