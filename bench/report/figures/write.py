"""Figures of cached runs, as PDF and PNG, with their captions."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib import style

from bench.errors import naming
from bench.experiments.spec import FigureSpec
from bench.files import atomic, write_text
from bench.report.figures.kinds import drawing
from bench.report.figures.style import RC, RESOLUTION
from bench.report.frame import TableResults
from bench.report.notes import run_notes, title

# Inches around all that is drawn.
_MARGIN = 0.1
# Without the time of their making, so that equal figures are equal files.
_METADATA = {"pdf": {"CreationDate": None}, "png": {"Software": None}}


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    Attributes:
        title: its heading.
        notes: its caption, a sentence or more in each.
        paths: its files, ``.pdf``, ``.png`` and the caption's ``.txt``.
    """

    title: str
    notes: tuple[str, ...]
    paths: tuple[Path, Path, Path]


def write_figure(figure: FigureSpec, content: TableResults, folder: Path) -> Drawn | None:
    """Draw a figure and write it as ``.pdf`` and ``.png``, and its caption as ``.txt``.

    One that would be blank is None and not written, and an earlier one stays.
    """
    heading = title(figure, content)
    pdf, png, text = (folder / f"{figure.name}{e}" for e in (".pdf", ".png", ".txt"))
    # Whatever the user's own matplotlibrc says: equal runs are equal figures.
    with style.context(RC, after_reset=True):
        with naming(f"figure {figure.name}"):
            drawn = drawing(figure.kind)(figure, content)
            if not any(axes.has_data() for axes in drawn.axes):
                return None
        drawn.suptitle(heading, fontsize=10)
        # Once for both files, where "tight" lays out the figure anew for each.
        drawn.draw_without_rendering()
        box = drawn.get_tightbbox().padded(_MARGIN)
        for path in (pdf, png):
            kind = path.suffix[1:]
            with atomic(path) as file:
                drawn.savefig(
                    file, format=kind, dpi=RESOLUTION, bbox_inches=box, metadata=_METADATA[kind]
                )
    notes = (*str(drawn.get_label()).splitlines(), *run_notes(content))
    write_text(text, "\n".join([heading, "", *notes, ""]))
    return Drawn(heading, notes, (pdf, png, text))
