"""What each run of a table left behind, a line a run: its spectrum, its training curve."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from bench.evaluation.spectrum import rank
from bench.experiments.spec import Cell, FigureSpec
from bench.report.figures.style import caption, plain_numbers
from bench.report.frame import TableResults, beside_printed, frame
from bench.report.metrics import METRICS
from bench.report.notes import seeds_text
from bench.report.rows import signed
from bench.report.statistics import interval
from bench.store.folders import read_history, read_spectra
from bench.store.records import Result

# Shown; float64 covariances are rounding far below it.
SMALLEST_SHARE = 1e-9
# For as many seeds as a table is planned for at most.
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))

# Draws one run in a panel; False where the run left nothing to draw.
_DrawRun = Callable[[Axes, Result, dict[str, Any]], bool]


def draw_spectra(figure: FigureSpec, content: TableResults) -> Figure:
    """Singular values over the largest, on a logarithmic scale; a dot marks each run's rank."""

    def draw(axes: Axes, result: Result, look: dict[str, Any]) -> bool:
        values = np.array(result.metrics["spectrum"])
        if values.max() <= 0:
            return False
        shares = np.maximum(values / values.max(), np.finfo(float).tiny)
        last = content.display.rank(result)
        axes.plot(np.arange(1, len(shares) + 1), shares, **look)
        axes.plot(last, shares[last - 1], marker="o", color=str(look["color"]), markersize=4)
        return True

    page, panels, notes = _panels(content, draw)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_numbers(axes.xaxis)
        plain_numbers(axes.yaxis)
        axes.set_ylim(SMALLEST_SHARE, 2)
        if axes.has_data():
            axes.axhline(content.display.rank_threshold, color="#888888", linewidth=0.8)
        axes.set_xlabel("index")
    panels[0].set_ylabel("singular value / largest")
    notes.insert(
        1,
        f"The grey line is the threshold {content.display.rank_threshold:g}; dots mark the latent "
        "rank.",
    )
    caption(page, notes)
    return page


def draw_curves(figure: FigureSpec, content: TableResults) -> Figure:
    """The loss over epochs, each point a mean over the steps since the last."""

    def draw(axes: Axes, result: Result, look: dict[str, Any]) -> bool:
        history = read_history(result.folder)
        if not history:
            return False
        axes.plot([row["epoch"] for row in history], [row["loss"] for row in history], **look)
        return True

    page, panels, notes = _panels(content, draw)
    for axes in panels:
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("training loss")
    caption(page, notes)
    return page


def draw_ranks(figure: FigureSpec, content: TableResults) -> Figure:
    """The rank of the test codes after every epoch: whether it still moves at the end.

    In the paper's setting, grey lines stand for the ranks that it prints, with their margins.
    """
    threshold = content.display.rank_threshold
    ranks: dict[str, list[int]] = {}
    images: set[int] = set()

    def draw(axes: Axes, result: Result, look: dict[str, Any]) -> bool:
        spectra = read_spectra(result.folder)
        if spectra is None:
            return False
        of_run = ranks[result.run_id] = [rank(values, threshold) for values in spectra]
        axes.plot(range(1, len(of_run) + 1), of_run, drawstyle="steps-post", **look)
        images.add(result.trained.spectra_images)
        return True

    page, panels, notes = _panels(content, draw)
    panels[0].set_ylabel("latent rank")
    counts = " or ".join(f"{count:,}" for count in sorted(images)) or "no"
    said = [
        (
            f"Rank: singular values above {threshold:g} of the largest, of the codes of {counts} "
            "test images, spread over the split."
        ),
        *_still_moving(content, ranks),
    ]
    printed = _printed_ranks(content)
    if printed:
        said += [
            "Grey lines: the ranks that the paper prints; shaded: what counts as reproduced.",
            _marked(panels, content, ranks, printed),
        ]
    for axes in panels:
        axes.set_xlabel("epoch")
        # Ranks of 4 and of 70 are to be read alike, and a code may have collapsed to 0.
        axes.set_yscale("symlog", base=2, linthresh=1)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(ScalarFormatter())
    notes[1:1] = said
    caption(page, notes)
    return page


def _still_moving(content: TableResults, ranks: Mapping[str, Sequence[int]]) -> list[str]:
    """By how much each column's rank changed at the end; empty where no run has epochs enough."""
    found = []
    for cell in content.table.cells:
        curves = [ranks.get(result.run_id, ()) for result in content.results.get(cell, ())]
        changes = [each[-1] - each[-1 - len(each) // 5] for each in curves if len(each) >= 5]
        if changes:
            found.append(f"{cell.name}: {signed(interval(changes).mean)}")
    if not found:
        return []
    text = "Mean change of the rank over the last fifth of the epochs"
    return [f"{text}: {content.table.axis} {', '.join(found)}."]


def _printed_ranks(content: TableResults) -> dict[Cell, float]:
    """The printed ranks of the cells whose runs can be held against them."""
    printed = beside_printed(frame(content), "rank")
    cells, places = content.table.places, zip(printed.row, printed.column, strict=True)
    return {cells[place]: rank for place, rank in zip(places, printed.paper, strict=True)}


def _marked(
    panels: Sequence[Axes],
    content: TableResults,
    ranks: Mapping[str, Sequence[int]],
    printed: Mapping[Cell, float],
) -> str:
    """Mark the printed ranks with their margins; tell after which epochs they are reproduced."""
    found = []
    for cell, rank_ in printed.items():
        axes = panels[content.table.rows.index(cell.row)]
        margin = METRICS["rank"].margin(rank_)
        color = _look(content, cell.label)["color"]
        axes.axhline(rank_, color="#888888", linewidth=0.8, zorder=0)
        axes.axhspan(rank_ - margin, rank_ + margin, color=color, alpha=0.12, linewidth=0)
        curves = [ranks[r.run_id] for r in content.results[cell] if r.run_id in ranks]
        means = [interval(values).mean for values in zip(*curves, strict=True)]
        near = [i for i, mean in enumerate(means, 1) if abs(mean - rank_) <= margin]
        found.append(f"{cell.name}: {_ranges(near) or ('none' if curves else 'not cached')}")
    return (
        "Epochs after which the mean over runs is within the margin of the printed rank, whatever "
        f"its interval: {content.table.axis} {', '.join(found)}."
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Rising whole numbers in words: ``1 to 3 and 7``."""
    runs = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in group] for _, group in runs]
    texts = [f"{e[0]} to {e[-1]}" if len(e) > 1 else f"{e[0]}" for e in ends]
    return " and ".join(texts)


def _panels(content: TableResults, draw: _DrawRun) -> tuple[Figure, Sequence[Axes], list[str]]:
    """A panel for each row of the table, in it a colour for each column and a line a run."""
    rows = content.table.rows
    page = Figure(figsize=(max(5.6, 3.8 * len(rows)), 3.6))
    panels = page.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    left_out: list[str] = []
    seeds: dict[Cell, list[int]] = {}
    for axes, row in zip(panels, rows, strict=True):
        axes.set_title(row, fontsize=9)
        for cell in (each for each in content.table.cells if each.row == row):
            look, seeds[cell] = _look(content, cell.label), []
            for result in content.results.get(cell, ()):
                line = {"linewidth": 1.2, "linestyle": _LINES[result.spec.seed % len(_LINES)]}
                # The first that is drawn names its column in the legend.
                label = {} if seeds[cell] else {"label": cell.label}
                if draw(axes, result, look | line | label):
                    seeds[cell].append(result.spec.seed)
                else:
                    left_out.append(result.run_id)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title=content.table.axis, fontsize=7, title_fontsize=7)
    shown = seeds_text(content.table, seeds)
    text = "A line for each run: its colour tells the column, its dashes the seed"
    notes = [f"{text} (seeds that are {len(_LINES)} apart share them). Seeds: {shown}."]
    if left_out:
        notes.append(f"Nothing to draw is cached of {', '.join(left_out)}.")
    return page, panels, notes


def _look(content: TableResults, column: str) -> dict[str, Any]:
    """Colour of a column's runs."""
    columns = content.table.columns
    # From dark to light, so that their order shows in grey too; lighter ones fade on white.
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.75, len(columns)))
    return {"color": mpl.colors.to_hex(shades[columns.index(column)])}
