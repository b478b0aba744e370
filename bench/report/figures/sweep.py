"""The FID over the columns of a table, as Figure 1 shows it over latent dimensions."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench.experiments.spec import FigureSpec
from bench.report.claims import span
from bench.report.figures.style import caption, styles
from bench.report.frame import TableResults, frame
from bench.report.metrics import REAL, View
from bench.report.notes import fid_notes
from bench.report.rows import significant


def draw(figure: FigureSpec, content: TableResults) -> Figure:
    """One curve for each row of a table over its columns, which are numbers.

    Each sampler has a column of panels, each extractor a row of them.

    The mean over seeds is drawn with its 95 % interval shaded, that of real images dotted, the
    paper's numbers dashed: on an axis of their own where the two are not comparable.
    """
    data = frame(content)
    data = data[data.metric == "fid"]
    data = data.assign(x=pd.to_numeric(data.column, errors="coerce"))
    unordered = dict.fromkeys(data.column[data.x.isna()])
    data = data.dropna(subset="x")
    views = [view for view in content.views("fid") if view.sampler != REAL]
    extractors = list(dict.fromkeys(view.extractor for view in views))
    samplers = list(dict.fromkeys(view.sampler for view in views))
    if data["mean"][data.sampler != REAL].isna().all():
        # Blank: the paper's numbers alone are no figure of runs.
        return Figure()
    size = max(5.6, 4.2 * len(samplers)), 3.6 * len(extractors)
    page = Figure(figsize=size, layout="tight")
    panels = page.subplots(len(extractors), len(samplers), squeeze=False)
    for view in views:
        axes = panels[extractors.index(view.extractor), samplers.index(view.sampler)]
        _panel(axes, view, data[data.extractor == view.extractor], content)
    left_out = [f"Not on the axis: {', '.join(unordered)}."] if unordered else []
    caption(page, [_seeds(data), *left_out, *fid_notes(content)])
    return page


def _panel(axes: Axes, view: View, seen: pd.DataFrame, content: TableResults) -> None:
    """The curves of one sampler."""
    data, real = (seen[seen.sampler == sampler] for sampler in (view.sampler, REAL))
    paper = data[data.paper.notna()]
    beside = axes
    if not paper.comparable.all():
        beside = axes.twinx()
        beside.grid(visible=False)
        beside.spines["right"].set_visible(True)
        beside.set_ylabel("FID (paper, another scale)")
    looks = styles(cell.training.method for cell in content.table.cells)
    for row in content.table.rows:
        look = next(looks[c.training.method] for c in content.table.cells if c.row == row)
        _measured(axes, data[data.row == row].sort_values("x"), row, look)
        _printed(beside, paper[paper.row == row].sort_values("x"), row, look)
    if real["mean"].notna().any():
        _real(axes, real["mean"].mean(), data["mean"])
    axes.set_xscale("log", base=2)
    places = sorted(set(data.x))
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(content.table.axis)
    axes.set_ylabel(f"FID ({', '.join(filter(None, reversed(view)))})")
    sides = dict.fromkeys((axes, beside))
    if handles := [each for side in sides for each in side.get_legend_handles_labels()[0]]:
        # Above the panel, where no point is.
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=7)


def _real(axes: Axes, value: float, measured: pd.Series) -> None:
    """A line for real images, or a legend where it lies so far below that curves would be flat."""
    look: dict[str, Any] = {"color": "#888888", "linestyle": ":"}
    if value > measured.min() - (measured.max() - measured.min()):
        axes.axhline(value, **look, label="real images")
    else:
        axes.plot([], [], **look, label=f"real images, below: {significant(value)}")


def _measured(axes: Axes, data: pd.DataFrame, row: str, look: dict[str, Any]) -> None:
    drawn = data[data["mean"].notna()]
    if drawn.empty:
        return
    axes.plot(drawn.x, drawn["mean"], **look, label=f"{row}, measured")
    unlearned = drawn[drawn.seeds_not_learned != ""]
    if not unlearned.empty:
        axes.plot(unlearned.x, unlearned["mean"], "kx", markersize=9, label=f"{row}, not learned")
    # Points of one seed have no interval; the shade is interrupted there.
    axes.fill_between(drawn.x, drawn.low, drawn.high, color=look["color"], alpha=0.2, linewidth=0)


def _printed(axes: Axes, data: pd.DataFrame, row: str, look: dict[str, Any]) -> None:
    if not data.empty:
        axes.plot(
            data.x,
            data.paper,
            **look | {"linestyle": "--"},
            markerfacecolor="white",
            linewidth=1,
            label=f"{row}, paper",
        )


def _seeds(data: pd.DataFrame) -> str:
    counts = [count for count in data.n if count] or [0]
    if max(counts) < 2:
        return f"Seeds a point: {span(counts)}, so no interval."
    return f"Mean over {span(counts)} seeds a point; the 95 % interval (Student t) is shaded."
