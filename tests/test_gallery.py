"""Figures of images that models make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import from_numpy
from torchvision.utils import make_grid

from bench.experiments import FIGURES, TABLES
from bench.report import gallery
from bench.report.frame import Content
from bench.spec import FigureSpec
from bench.store import Store
from tests.test_store import RECORD

KINDS = ("samples", "reconstructions", "interpolations", "walks")


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Content, Store]:
    """AE, VAE and IRMAE on shapes; the last one left no images."""
    store = Store(tmp_path / "runs")
    table = TABLES["shape"]
    rng = np.random.default_rng(0)
    records = {}
    for cell in table.cells:
        record = replace(RECORD, run_id=f"{cell.run.name}-00", spec=cell.run)
        records[cell] = [record, replace(record, spec=replace(cell.run, seed=1))]
        if cell.label != "IRMAE (l = 4)":
            folder = store.folder(record.run_id)
            folder.mkdir(parents=True)
            counts = [[500], [500], [10], [4, 10], [4, 9]]
            arrays = {
                name: rng.integers(0, 256, (*count, 3, 8, 8), np.uint8)
                for name, count in zip(("originals", *KINDS), counts, strict=True)
            }
            np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
    return Content(table, records, [], "gmm10", "paper"), store


def _figure(kind: str) -> FigureSpec:
    return FIGURES[f"{kind}-shape"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_method_has_a_block_of_its_images(kind: str, filled: tuple[Content, Store]) -> None:
    content, store = filled
    page = gallery.draw(_figure(kind), content, store)
    shown = {axes.get_title(loc="left"): axes.images for axes in page.axes if axes.images}
    assert list(shown) == ["AE", "VAE"]
    arrays = store.arrays(f"{content.table.cells[1].run.name}-00")
    first = {"reconstructions": arrays["originals"], "samples": arrays["samples"]}.get(kind)
    first = arrays[kind][0] if first is None else first
    # The second image of the first line, its colours last.
    (image,) = shown["VAE"]
    picture = np.asarray(image.get_array())
    assert np.array_equal(picture[:8, 9:17], first[1].transpose(1, 2, 0))
    text = " ".join(" ".join(t.get_text() for t in page.texts).split())
    assert "No images are cached of shape-irmae-d32-l4-s0-00." in text
    assert "seeds 0." in text
    assert "Profile paper" in text


def test_reconstructions_stand_below_their_images(filled: tuple[Content, Store]) -> None:
    content, store = filled
    axes = gallery.draw(_figure("reconstructions"), content, store).axes[0]
    arrays = store.arrays(f"{content.table.cells[0].run.name}-00")
    picture = np.asarray(axes.images[0].get_array())
    assert picture.shape == (2 * 9 - 1, 10 * 9 - 1, 3)
    assert np.array_equal(picture[9:17, :8], arrays["reconstructions"][0].transpose(1, 2, 0))


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_torchvisions_grid(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, channels, 8, 8), np.uint8)
    ours = gallery.tile(images)
    theirs = make_grid(from_numpy(images).flatten(0, 1), nrow=5, padding=1, pad_value=255)
    reference = theirs.numpy().transpose(1, 2, 0)[1:-1, 1:-1]
    assert np.array_equal(np.broadcast_to(ours, reference.shape), reference)
