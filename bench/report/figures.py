"""Figures of cached runs, as PDF and PNG."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl

from bench.files import write_bytes
from bench.report import runs, samples, sweep
from bench.report.frame import Content
from bench.report.style import RC
from bench.spec import FigureSpec
from bench.store import Store

_KINDS = {
    "sweep": sweep.draw,
    "spectra": runs.draw_spectra,
    "curves": runs.draw_curves,
    "samples": samples.draw,
}
# Without the time of their making, so that equal figures are equal files.
_METADATA = {".pdf": {"CreationDate": None}, ".png": {"Software": None}}


def write_figure(figure: FigureSpec, content: Content, store: Store, folder: Path) -> list[Path]:
    """Draw a figure and write it as ``.pdf`` and ``.png``.

    Args:
        figure: its declaration.
        content: the table that it draws.
        store: where its runs' arrays and histories are.
        folder: where the files go.

    Returns:
        The files.
    """
    paths = []
    with mpl.rc_context(RC):  # type: ignore[arg-type]
        drawn = _KINDS[figure.kind](figure, content, store)
        for ending, metadata in _METADATA.items():
            buffer = io.BytesIO()
            drawn.savefig(
                buffer, format=ending[1:], dpi=200, bbox_inches="tight", metadata=metadata
            )
            paths.append(folder / f"{figure.name}{ending}")
            write_bytes(paths[-1], buffer.getvalue())
    return paths
