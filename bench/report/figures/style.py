"""How every figure looks: one colour, marker and line for each method."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

# Okabe and Ito's palette, which the colour-blind tell apart; in grey its colours differ in
# lightness, and markers and lines differ too.
ORANGE, _SKY, _GREEN, BLUE, _RED, _PINK, _YELLOW = (
    *("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#B8A600"),
)

# Pixels an inch, in PNG files and in images within PDFs.
RESOLUTION = 200

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    # Names of data and columns are not formulae.
    "text.parse_math": False,
    # Text stays text in PDFs.
    "pdf.fonttype": 42,
}


# Each method's colour, marker and line.
_STYLES = {
    "irmae": (BLUE, "o", "-"),
    "ae": (ORANGE, "s", "-"),
    "vae": (_GREEN, "^", "-"),
    "wae-mmd": (_RED, "D", "-"),
    "rae": (_PINK, "v", "-"),
    "rae-l2": (_PINK, "<", "-."),
    "rae-gp": (_PINK, ">", ":"),
    "rae-sn": (_SKY, "P", "-"),
    "irmae-wd": (_SKY, "o", "--"),
    "lorae": (_GREEN, "D", "--"),
    "least-volume": (_RED, "^", "-."),
    "rrae": (_PINK, "s", "--"),
    "nested-dropout": (_YELLOW, "v", "--"),
    "pca": ("#777777", "X", ":"),
}
_OTHERS = ("*", "h", "p", "d", "8", "H")


def caption(page: Figure, notes: Sequence[str]) -> None:
    """Give a figure the text that is written beside it; as its label, it is not drawn."""
    page.set_label("\n".join(notes))


def plain_numbers(axis: Axis) -> None:
    """Write a logarithmic axis's numbers as 1e-4: 10 to the power of -4 is a formula."""
    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter())


def styles(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of each method; those from outside the package are black."""
    others = itertools.cycle(_OTHERS)
    looks = {m: _STYLES.get(m) or ("#000000", next(others), "-") for m in dict.fromkeys(methods)}
    names = ("color", "marker", "linestyle")
    return {method: dict(zip(names, look, strict=True)) for method, look in looks.items()}
