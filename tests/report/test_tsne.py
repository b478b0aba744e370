"""Figure 2: how sampled images lie among test images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from sklearn.neighbors import KNeighborsClassifier

from bench.experiments.figures import FIGURES
from bench.experiments.tables import TABLES
from bench.report.display import Display
from bench.report.figures import tsne
from bench.report.figures.write import write_figure
from bench.report.frame import TableResults
from bench.store.records import Result
from tests.support.results import keep_images, result

FIGURE = FIGURES["figure2"]
COUNT = 60


@pytest.fixture
def filled(tmp_path: Path) -> TableResults:
    """AE, VAE and IRMAE; the first two have images, the last one nothing."""
    table = TABLES["section3"]
    rng = np.random.default_rng(0)
    results = {}
    for cell in table.cells:
        made = result(cell.training, cell.measurement, runs_dir=tmp_path / "runs")
        made.seen("inception", "neighbours").update(
            gmm10={"real": 0.6, "samples": 0.7}, real={"real": 0.48, "samples": 0.52}
        )
        results[cell] = [made]
        if cell.label != "IRMAE (l = 8)":
            images = rng.integers(0, 256, (2, COUNT, 1, 8, 8), dtype=np.uint8)
            arrays = dict(zip(("originals", "samples"), images, strict=True))
            keep_images(made, arrays)
    return TableResults(table, results, [], Display(), "paper")


def _images_of(made: Result) -> Path:
    return made.folder / f"measured-{made.measurements[0].identity}.npz"


def _first(content: TableResults) -> Result:
    return content.results[content.table.cells[0]][0]


def test_each_method_has_a_panel_with_its_numbers(filled: TableResults) -> None:
    page = tsne.draw(FIGURE, filled)
    assert [axes.get_title() for axes in page.axes] == ["AE", "VAE", "IRMAE (l = 8)"]
    for axes in page.axes[:2]:
        clouds = [c for c in axes.collections if isinstance(c, PathCollection)]
        assert [len(cloud.get_offsets()) for cloud in clouds] == [COUNT, COUNT]  # type: ignore[arg-type]
        *numbers, plane = axes.get_xlabel().splitlines()
        assert numbers == [
            "inception: real called real 60% (48%)",
            "inception: samples called samples 70% (52%)",
        ]
        points = np.concatenate([np.asarray(cloud.get_offsets()) for cloud in clouds])
        kinds = KNeighborsClassifier(n_neighbors=11).fit(points, np.arange(2 * COUNT) < COUNT)
        # Each point is the nearest to itself.
        own = [
            (shares[int(i < COUNT)] * 11 - 1) / 10
            for i, shares in enumerate(kinds.predict_proba(points))
        ]
        assert plane == f"in the plane: own kind {np.mean(own):.0%}"
    text = " ".join(str(page.get_label()).split())
    for words in (
        "60 test images (blue), 60 samples (orange) a panel.",
        "AE: seed 0, 0.333 (median 0.333 of 1; points of 1 kept); VAE: seed 0",
        "perplexity 30",
        "Sampler gmm10",
        "Not drawn: IRMAE (l = 8) (no run with images has a FID by that network).",
    ):
        assert words in text
    # What is not drawn is not described.
    assert "gmm4" not in text
    assert "real images:" not in text
    assert not page.axes[2].collections
    # The numbers are the record's, and stand without the images.
    assert "real called real 60%" in page.axes[2].get_xlabel()


def test_the_legend_stands_where_the_first_panel_is_empty(
    filled: TableResults,
) -> None:
    first = _first(filled)
    _images_of(first).unlink()
    (legend,) = tsne.draw(FIGURE, filled).legends
    assert [text.get_text() for text in legend.get_texts()] == ["test images", "samples"]


def test_a_column_without_a_fid_by_the_extractor_is_not_drawn(filled: TableResults) -> None:
    unseen = replace(filled, display=replace(filled.display, extractors=("imagenet",)))
    page = tsne.draw(FIGURE, unseen)
    assert not any(axes.collections for axes in page.axes)
    text = " ".join(str(page.get_label()).split())
    assert "Not drawn: AE (no run with images has a FID by that network)" in text


def test_images_that_are_all_alike_are_not_embedded(filled: TableResults) -> None:
    """scikit-learn's t-SNE of such points ends the process with a segmentation fault."""
    first = _first(filled)
    black = np.zeros((COUNT, 1, 8, 8), np.uint8)
    keep_images(first, {"originals": black, "samples": black})
    page = tsne.draw(FIGURE, filled)
    assert not page.axes[0].collections
    text = " ".join(str(page.get_label()).split())
    assert "Not drawn: AE (all of its images are alike)" in text


def test_an_embedding_is_computed_once(
    filled: TableResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write_figure(FIGURE, filled, tmp_path / "a")
    monkeypatch.setattr(tsne, "embed", None)
    after = write_figure(FIGURE, filled, tmp_path / "b")
    assert before is not None
    assert after is not None
    for a, b in zip(before.paths, after.paths, strict=True):
        assert a.read_bytes() == b.read_bytes()
    # It stands alone, without the images; and it is not that of other images.
    first = _first(filled)
    arrays = _images_of(first)
    kept = dict(np.load(arrays))
    arrays.unlink()
    assert tsne.draw(FIGURE, filled).axes[0].collections
    np.savez(arrays, originals=kept["samples"], samples=kept["originals"])
    with pytest.raises(TypeError, match="not callable"):
        tsne.draw(FIGURE, filled)
