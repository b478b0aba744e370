"""Figures of cached runs, as PDF and PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from bench.experiments.spec import FigureSpec
from bench.files import write_bytes
from bench.report.figures.kinds import drawing
from bench.report.figures.style import RC, RESOLUTION
from bench.report.frame import TableResults
from bench.report.notes import title_of
from bench.store.folders import Store

# Inches around all that is drawn.
_MARGIN = 0.1
# Without the time of their making, so that equal figures are equal files.
_METADATA = {".pdf": {"CreationDate": None}, ".png": {"Software": None}}


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    Attributes:
        title: its heading.
        text: all that is written below it.
        paths: its files, ``.pdf`` and ``.png``.
    """

    title: str
    text: str
    paths: tuple[Path, ...]


def write_figure(
    figure: FigureSpec, content: TableResults, store: Store, folder: Path, *, optional: bool = False
) -> Drawn | None:
    """Draw a figure and write it as ``.pdf`` and ``.png``.

    Args:
        figure: its declaration.
        content: the table that it draws.
        store: where its runs' arrays and histories are.
        folder: where the files go.
        optional: write no figure that would be blank.

    Returns:
        The figure; None where it is optional and blank.
    """
    paths = []
    with mpl.rc_context():
        # Whatever the user's own matplotlibrc says: equal runs are equal figures.
        mpl.rcdefaults()
        mpl.rcParams.update(RC)  # type: ignore[arg-type]
        drawn = drawing(figure.kind)(figure, content, store)
        if optional and not any(axes.has_data() for axes in drawn.axes):
            return None
        # Once for both files, where "tight" lays out the figure anew for each.
        drawn.draw_without_rendering()
        box = drawn.get_tightbbox().padded(_MARGIN)
        for ending, metadata in _METADATA.items():
            buffer = io.BytesIO()
            drawn.savefig(
                buffer, format=ending[1:], dpi=RESOLUTION, bbox_inches=box, metadata=metadata
            )
            paths.append(folder / f"{figure.name}{ending}")
            write_bytes(paths[-1], buffer.getvalue())
    below = [text.get_text() for text in drawn.texts if text.get_text() != drawn.get_suptitle()]
    words = " ".join(" ".join(below).split())
    return Drawn(title_of(figure.title, figure.name, content), words, tuple(paths))
