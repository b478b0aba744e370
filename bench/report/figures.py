"""Figures of cached runs, as PDF and PNG."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench.files import write_bytes
from bench.report.frame import METRICS, Content, frame
from bench.report.layout import setting, title_of
from bench.report.style import RC, style
from bench.spec import FigureSpec

_NOTE_WIDTH = 112
# Without the time of their making, so that equal figures are equal files.
_METADATA = {".pdf": {"CreationDate": None}, ".png": {"Software": None}}


def write_figure(figure: FigureSpec, content: Content, folder: Path) -> list[Path]:
    """Draw a figure and write it as ``.pdf`` and ``.png``.

    Args:
        figure: its declaration.
        content: the table that it draws.
        folder: where the files go.

    Returns:
        The files.
    """
    paths = []
    with mpl.rc_context(RC):  # type: ignore[arg-type]
        drawn = draw(figure, content)
        for ending, metadata in _METADATA.items():
            buffer = io.BytesIO()
            drawn.savefig(
                buffer, format=ending[1:], dpi=200, bbox_inches="tight", metadata=metadata
            )
            paths.append(folder / f"{figure.name}{ending}")
            write_bytes(paths[-1], buffer.getvalue())
    return paths


def draw(figure: FigureSpec, content: Content) -> Figure:
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
        method = next(cell.run.method for cell in content.table.cells if cell.row == row)
        _measured(axes, data[data.row == row].sort_values("x"), row, method)
        _printed(beside, paper[paper.row == row].sort_values("x"), row, method)
    axes.set_xscale("log", base=2)
    places = sorted(set(data.x))
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(content.table.axis)
    axes.set_ylabel(f"{metric.label} ({content.sampler}, {data.extractor.iloc[0]})")
    axes.set_title(title_of(figure.title, figure.name, content), fontsize=10)
    handles = [*axes.get_legend_handles_labels()[0]]
    if beside is not axes:
        handles += beside.get_legend_handles_labels()[0]
    if handles:
        axes.legend(handles=handles)
    page.text(0.0, -0.03, _caption(content, data), fontsize=6, va="top", transform=page.transFigure)
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


def _caption(content: Content, data: pd.DataFrame) -> str:
    counts = sorted(set(data.n))
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    first = f"Mean over {seeds} seeds a point; the 95 % interval (Student t) is shaded."
    if counts[-1] < 2:
        first = f"Seeds a point: {seeds}, so no interval."
    lines = [first, *setting(content, data)]
    return "\n".join(textwrap.fill(line, _NOTE_WIDTH) for line in lines)
