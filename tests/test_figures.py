from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from PIL import Image

from bench.experiments import FIGURES, TABLES
from bench.models import methods
from bench.report.figures import draw, write_figure
from bench.report.frame import Content
from bench.report.style import style
from bench.spec import TableSpec
from bench.store import Record
from tests.test_store import RECORD

FIGURE = FIGURES["figure1"]


def _content(features: str, seeds: Sequence[int], **change: object) -> Content:
    """Table 6 with FIDs of 100 + seed for IRMAE's columns, 200 + seed for the AE's."""
    table: TableSpec = TABLES["table6"].with_runs(lambda run: replace(run, features=features))
    records: dict[object, list[Record]] = {
        cell: [
            replace(
                RECORD,
                spec=replace(cell.run, seed=seed),
                metrics={
                    "rank": 3,
                    "test_mse": 0.1,
                    "fid": {"gmm10": (100 if cell.run.depth else 200) + seed},
                },
                extractor={"name": features, "dimensions": 2048, "checksum": "abcdef1234"},
            )
            for seed in seeds
        ]
        for cell in table.cells
    }
    content = Content(table, records, [], "gmm10", "paper")  # type: ignore[arg-type]
    return replace(content, **change)  # type: ignore[arg-type]


def _curves(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): list(line.get_ydata()) for line in axes.get_lines()}  # type: ignore[arg-type]


def test_figure_1_has_the_measured_and_the_printed_curves() -> None:
    (axes,) = draw(FIGURE, _content("inception", [0, 2])).axes
    curves = _curves(axes)
    assert curves["IRMAE (l = 4), measured"] == [101] * 5
    assert curves["AE, measured"] == [201] * 5
    assert curves["IRMAE (l = 4), paper"] == [81.6, 64.6, 47.6, 42.7, 42.0]
    assert curves["AE, paper"] == [78.2, 60.1, 46.0, 45.4, 53.9]
    dashed = {line.get_label(): line.get_linestyle() for line in axes.get_lines()}
    assert dashed["AE, paper"] == "--"
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["32", "64", "128", "256", "512"]
    # Two seeds, 1 apart from their mean: t(0.975, 1) * sqrt(2) / sqrt(2) = 12.706.
    shade = axes.collections[0].get_paths()[0].vertices
    assert np.asarray(shade)[:, 1].max() == pytest.approx(101 + 12.706, abs=1e-3)
    assert np.asarray(shade)[:, 1].min() == pytest.approx(101 - 12.706, abs=1e-3)


def test_numbers_of_another_scale_have_an_axis_of_their_own() -> None:
    measured, printed = draw(FIGURE, _content("classifier", [0])).axes
    assert set(_curves(measured)) == {"IRMAE (l = 4), measured", "AE, measured"}
    assert set(_curves(printed)) == {"IRMAE (l = 4), paper", "AE, paper"}
    assert "another scale" in printed.get_ylabel()


def test_the_caption_says_what_the_numbers_are() -> None:
    text = "\n".join(t.get_text() for t in draw(FIGURE, _content("classifier", [0])).texts)
    text = " ".join(text.split())
    for words in ("Seeds a point: 1", "not Inception", "gmm10", "19,962 test", "Profile paper"):
        assert words in text


def test_nothing_measured_is_an_empty_figure_with_the_papers_curve(tmp_path: Path) -> None:
    (axes,) = draw(FIGURE, _content("inception", [])).axes
    assert set(_curves(axes)) == {"IRMAE (l = 4), paper", "AE, paper"}


def test_files_are_the_same_twice_and_not_blank(tmp_path: Path) -> None:
    content = _content("inception", [0, 1])
    first, second = (write_figure(FIGURE, content, tmp_path / name) for name in "ab")
    assert [path.name for path in first] == ["figure1.pdf", "figure1.png"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert first[0].read_bytes().startswith(b"%PDF")
    with Image.open(first[1]) as image:
        assert len(np.unique(np.asarray(image.convert("RGB")))) > 50


def test_methods_are_told_apart_in_grey_too() -> None:
    styles = [style(name) for name in methods._MODULES]
    assert len({(s.marker, s.line) for s in styles}) == len(styles)
    red, green, blue = 0.299, 0.587, 0.114
    pair = [style("irmae"), style("ae")]
    greys = [np.dot(to_rgb(s.color), (red, green, blue)) for s in pair]
    assert abs(greys[0] - greys[1]) > 0.2
    assert style("a-plugins-own").color == "#000000"
