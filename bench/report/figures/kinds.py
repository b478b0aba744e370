"""The kinds of figures, by name: what draws each, which a plugin may add to."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.errors import register, unknown
from bench.experiments.spec import FigureSpec
from bench.report.frame import TableResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    # A figure's declaration, and the table that it draws.
    Draw = Callable[[FigureSpec, TableResults], Figure]

# Module and function, since Matplotlib takes a second to import.
_OWN = {
    "sweep": "sweep:draw",
    "spectra": "lines:draw_spectra",
    "curves": "lines:draw_curves",
    "ranks": "lines:draw_ranks",
    "tsne": "tsne:draw",
    "frontier": "frontier:draw",
    **dict.fromkeys(("samples", "reconstructions", "interpolations", "walks"), "gallery:draw"),
}
REGISTERED_KINDS: dict[str, Draw] = {}


def register_kind(name: str, draw: Draw) -> None:
    """Add a kind of figure, for :class:`FigureSpec` and :func:`register_figure`.

    Raises:
        UsageError: there is another kind of that name.
    """
    register(REGISTERED_KINDS, "a kind of figure", name, draw, _OWN)


def drawing(name: str) -> Draw:
    """What draws figures of a kind; UsageError with the nearest names where there is none."""
    if name in REGISTERED_KINDS:
        return REGISTERED_KINDS[name]
    if name not in _OWN:
        raise unknown("kind of figure", name, [*_OWN, *REGISTERED_KINDS])
    return pkgutil.resolve_name(f"bench.report.figures.{_OWN[name]}")
