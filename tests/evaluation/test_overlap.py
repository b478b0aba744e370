"""Figure 2: how sampled images lie among test images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from scipy import stats

from bench.evaluation.overlap import overlap
from bench.evaluation.protocol import NEIGHBOURS
from bench.experiments.figures import FIGURES
from bench.experiments.tables import TABLES
from bench.report.figures import tsne
from bench.report.figures.write import write_figure
from bench.report.frame import Content
from bench.report.reading import Reading
from bench.store.folders import Store
from bench.store.records import Result
from tests.support.results import result

FIGURE = FIGURES["figure2"]
COUNT = 60


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (37, 80), (500, 1000)])
def test_the_interval_is_scipys(count: int, n: int) -> None:
    ours = tsne.wilson(count / n, n)
    reference = stats.binomtest(count, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), abs=1e-4)
    assert ours.value == count / n


def test_one_cloud_cannot_be_told_apart_and_two_can() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 8))
    same = overlap(a, b)
    assert same["points"] == 600
    assert same["accuracy"] == pytest.approx(0.5, abs=0.04)
    assert same["mixing"] == pytest.approx(0.5, abs=0.04)
    apart = overlap(a, b + 20)
    assert (apart["accuracy"], apart["mixing"]) == (1, 0)
    # Neither is fooled by a sampler that repeats one image.
    repeated = overlap(a, np.repeat(a[:1], 300, axis=0))
    assert repeated["accuracy"] > 0.75
    assert repeated["mixing"] < 0.25


def test_mixing_by_hand() -> None:
    """Points on a line, of one kind and the other by turns."""
    line = np.column_stack([np.arange(200.0), np.zeros(200)])
    # Inside, the five nearest on each side: offsets 1, 3 and 5 are of the other kind, so 6 of 10.
    assert overlap(line[::2], line[1::2])["mixing"] == pytest.approx(0.6, abs=0.02)
    assert NEIGHBOURS == 10


@pytest.mark.parametrize("n", range(2, 13))
def test_few_points_are_compared_too(n: int) -> None:
    rng = np.random.default_rng(n)
    found = overlap(rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) + 50)
    assert found["accuracy"] == 1
    assert found["mixing"] == pytest.approx(max(0, min(10, 2 * n - 1) - n + 1) / min(10, 2 * n - 1))


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Content, Store]:
    """AE, VAE and IRMAE; the first two have images, the last one nothing."""
    store = Store(tmp_path / "runs")
    table = TABLES["mnist-baselines"]
    table = replace(table, cells=tuple(c for c in table.cells if c.label in FIGURE.columns))
    rng = np.random.default_rng(0)
    results = {}
    for cell in table.cells:
        made = result(cell.training, cell.measurement)
        results[cell] = [made]
        if cell.label != "IRMAE (l = 8)":
            images = rng.integers(0, 256, (2, COUNT, 1, 8, 8), dtype=np.uint8)
            arrays = dict(zip(("originals", "samples"), images, strict=True))
            store.write_arrays(made.run_id, _images_of(made), arrays)
    return Content(table, results, [], Reading(), "paper"), store


def _images_of(made: Result) -> str:
    return f"measured-{made.measured.identity}.npz"


def _first(content: Content) -> Result:
    return content.results[content.table.cells[0]][0]


def test_each_method_has_a_panel_with_its_numbers(filled: tuple[Content, Store]) -> None:
    page = tsne.draw(FIGURE, *filled)
    assert [axes.get_title() for axes in page.axes] == ["AE", "VAE", "IRMAE (l = 8)"]
    for axes in page.axes[:2]:
        clouds = [c for c in axes.collections if isinstance(c, PathCollection)]
        assert [len(cloud.get_offsets()) for cloud in clouds] == [COUNT, COUNT]  # type: ignore[arg-type]
        # Intervals of 120 points.
        assert axes.get_xlabel() == "told apart 60% [51%, 68%]\nmixed 40% [32%, 49%]"
    text = " ".join(" ".join(t.get_text() for t in page.texts).split())
    for words in (
        "60 test images (blue), 60 samples (orange) a panel; seeds 0.",
        "perplexity 30",
        "Sampler gmm10",
        "No images are cached of mnist-irmae-d128-l8-s0-4abd952c.",
        "Profile paper",
    ):
        assert words in text
    assert not page.axes[2].collections
    # The numbers are the record's, and stand without the images.
    assert "told apart 60%" in page.axes[2].get_xlabel()


def test_the_legend_stands_where_the_first_panel_is_empty(filled: tuple[Content, Store]) -> None:
    content, store = filled
    first = _first(content)
    (store.folder(first.run_id) / _images_of(first)).unlink()
    (legend,) = tsne.draw(FIGURE, content, store).legends
    assert [text.get_text() for text in legend.get_texts()] == ["test images", "samples"]


def test_an_embedding_is_computed_once(
    filled: tuple[Content, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, store = filled
    before = write_figure(FIGURE, content, store, tmp_path / "a")
    monkeypatch.setattr(tsne, "embed", None)
    after = write_figure(FIGURE, content, store, tmp_path / "b")
    assert before is not None
    assert after is not None
    for a, b in zip(before.paths, after.paths, strict=True):
        assert a.read_bytes() == b.read_bytes()
    # It stands alone, without the images; and it is not that of other images.
    first = _first(content)
    arrays = store.folder(first.run_id) / _images_of(first)
    kept = dict(np.load(arrays))
    arrays.unlink()
    assert tsne.draw(FIGURE, content, store).axes[0].collections
    np.savez(arrays, originals=kept["samples"], samples=kept["originals"])
    with pytest.raises(TypeError, match="not callable"):
        tsne.draw(FIGURE, content, store)
