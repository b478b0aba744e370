"""A metric over the columns of a table, as Figure 1 shows the FID over latent dimensions."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench.experiments.spec import FigureSpec
from bench.report.figures.style import caption, style
from bench.report.frame import METRICS, Content, frame
from bench.report.layout import fid_notes, run_notes, title_of
from bench.store.folders import Store


def draw(figure: FigureSpec, content: Content, store: Store) -> Figure:
    """One curve for each row of a table over its columns, which are numbers.

    The mean over seeds is drawn with its 95 % interval shaded, the paper's numbers dashed: on an
    axis of their own where the two are not comparable.
    """
    data = frame(content)
    data = data[data.metric == figure.metric].assign(x=lambda rows: rows.column.astype(float))
    metric = METRICS[figure.metric]
    page = Figure(figsize=(5.6, 3.6))
    axes = page.add_subplot()
    paper = data[data.paper.notna()]
    beside = axes
    if not paper.comparable.all():
        beside = axes.twinx()
        beside.grid(visible=False)
        beside.spines["right"].set_visible(True)
        beside.set_ylabel(f"{metric.label} (paper, another scale)")
    for row in dict.fromkeys(cell.row for cell in content.table.cells):
        method = next(cell.training.method for cell in content.table.cells if cell.row == row)
        _measured(axes, data[data.row == row].sort_values("x"), row, method)
        _printed(beside, paper[paper.row == row].sort_values("x"), row, method)
    axes.set_xscale("log", base=2)
    places = sorted(set(data.x))
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(content.table.axis)
    axes.set_ylabel(f"{metric.label} ({content.reading.sampler}, {data.extractor.iloc[0]})")
    axes.set_title(title_of(figure.title, figure.name, content), fontsize=10)
    handles = [*axes.get_legend_handles_labels()[0]]
    if beside is not axes:
        handles += beside.get_legend_handles_labels()[0]
    if handles:
        axes.legend(handles=handles)
    caption(page, [_seeds(data), *fid_notes(content), *run_notes(content)])
    return page


def _measured(axes: Axes, data: pd.DataFrame, row: str, method: str) -> None:
    look, known = style(method), data[data["mean"].notna()]
    if known.empty:
        return
    axes.plot(
        known.x,
        known["mean"],
        color=look.color,
        marker=look.marker,
        linestyle=look.line,
        label=f"{row}, measured",
    )
    # Points of one seed have no interval; the shade is interrupted there.
    axes.fill_between(known.x, known.low, known.high, color=look.color, alpha=0.2, linewidth=0)


def _printed(axes: Axes, data: pd.DataFrame, row: str, method: str) -> None:
    look = style(method)
    if not data.empty:
        axes.plot(
            data.x,
            data.paper,
            color=look.color,
            marker=look.marker,
            markerfacecolor="white",
            linestyle="--",
            linewidth=1,
            label=f"{row}, paper",
        )


def _seeds(data: pd.DataFrame) -> str:
    counts = sorted(set(data.n))
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    if counts[-1] < 2:
        return f"Seeds a point: {seeds}, so no interval."
    return f"Mean over {seeds} seeds a point; the 95 % interval (Student t) is shaded."
