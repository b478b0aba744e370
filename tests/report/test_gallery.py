"""Figures of images that models make."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import from_numpy
from torchvision.utils import make_grid

from bench.experiments.figures import FIGURES
from bench.experiments.spec import FigureSpec
from bench.experiments.tables import TABLES
from bench.report.display import Display
from bench.report.figures import gallery
from bench.report.frame import TableResults
from bench.store.folders import kept_images
from bench.store.records import Result
from tests.support.results import content as content_of
from tests.support.results import keep_images, result

KINDS = ("samples", "reconstructions", "interpolations", "walks")


@pytest.fixture
def filled(tmp_path: Path) -> TableResults:
    """AE, VAE and IRMAE on shapes; the last one left no images."""
    table = TABLES["shape"]
    rng = np.random.default_rng(0)
    results = {}
    for cell in table.cells:
        made = result(cell.training, cell.measurement, runs_dir=tmp_path)
        results[cell] = [made, result(replace(cell.training, seed=1), cell.measurement)]
        if cell.label != "IRMAE (l = 4)":
            counts = [[500], [500], [10], [4, 10], [4, 9]]
            arrays = {
                name: rng.integers(0, 256, (*count, 3, 8, 8), np.uint8)
                for name, count in zip(("originals", *KINDS), counts, strict=True)
            }
            keep_images(made, arrays)
    return TableResults(table, results, [], Display(), "paper")


def _result(content: TableResults, column: int) -> Result:
    return content.results[content.table.cells[column]][0]


def _figure(kind: str) -> FigureSpec:
    return FIGURES[f"{kind}-shape"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_method_has_a_block_of_its_images(kind: str, filled: TableResults) -> None:
    page = gallery.draw(_figure(kind), filled)
    shown = {axes.get_title(loc="left"): axes.images for axes in page.axes if axes.images}
    assert list(shown) == ["AE", "VAE"]
    arrays = kept_images(_result(filled, 1))
    first = {"reconstructions": arrays["originals"], "samples": arrays["samples"]}.get(kind)
    if kind == "interpolations":
        first = np.concatenate([arrays["originals"][:1], arrays[kind][0]])
    first = arrays[kind][0] if first is None else first
    # The second image of the first line, its colours last.
    (image,) = shown["VAE"]
    picture = np.asarray(image.get_array())
    assert np.array_equal(picture[:8, 9:17], first[1].transpose(1, 2, 0))
    text = " ".join(str(page.get_label()).split())
    assert (
        "Not shown, since no images are kept of a run with a FID by that network: IRMAE (l = 4)."
        in text
    )
    assert "where one is kept, it need not be typical. FIDs of the runs shown (gmm10, " in text
    assert "): AE: seed 0, 0.333 (median 0.333 of 2; images of 1 kept); VAE" in text


def test_blocks_of_a_sweep_say_what_varies(tmp_path: Path) -> None:
    content = content_of("table4", {"2": [70], "4": [39], "12": [4]}, runs_dir=tmp_path)
    for each in content.all_results:
        arrays = {name: np.zeros((40, 1, 8, 8), np.uint8) for name in ("originals", "samples")}
        keep_images(each, arrays)
    page = gallery.draw(FIGURES["samples-depth"], content)
    names = [axes.get_title(loc="left") for axes in page.axes if axes.images]
    assert names == ["Depth l: 2", "Depth l: 4", "Depth l: 12"]


def test_reconstructions_stand_below_their_images(filled: TableResults) -> None:
    axes = gallery.draw(_figure("reconstructions"), filled).axes[0]
    arrays = kept_images(_result(filled, 0))
    picture = np.asarray(axes.images[0].get_array())
    assert picture.shape == (2 * 9 - 1, 10 * 9 - 1, 3)
    assert np.array_equal(picture[9:17, :8], arrays["reconstructions"][0].transpose(1, 2, 0))


def test_interpolations_stand_between_their_images(filled: TableResults) -> None:
    axes = gallery.draw(_figure("interpolations"), filled).axes[0]
    arrays = kept_images(_result(filled, 0))
    picture = np.asarray(axes.images[0].get_array())
    assert picture.shape == (4 * 9 - 1, 12 * 9 - 1, 3)
    second = [arrays["originals"][2], *arrays["interpolations"][1], arrays["originals"][3]]
    for i, image in enumerate(second):
        assert np.array_equal(picture[9:17, 9 * i : 9 * i + 8], image.transpose(1, 2, 0))


def test_the_run_with_the_median_fid_is_shown_of_those_that_left_images(tmp_path: Path) -> None:
    content = content_of("table4", {"2": [50, 70, 61, 90, 52], "8": [4]}, runs_dir=tmp_path)

    def shown() -> str:
        return gallery.draw(FIGURES["samples-depth"], content).get_label()  # type: ignore[return-value]

    def leave_images(seed: int) -> None:
        (run,) = [r for r in content.all_results if r.spec.depth == 2 and r.spec.seed == seed]
        arrays = {name: np.zeros((40, 1, 8, 8), np.uint8) for name in ("originals", "samples")}
        keep_images(run, arrays)

    leave_images(3)
    assert "Depth l 2: seed 3, 90.0 (median 61.0 of 5; images of 1 kept)." in shown()
    leave_images(4)
    assert "2: seed 4, 52.0 (median 61.0 of 5; images of 2 kept)." in shown()
    leave_images(2)
    assert "2: seed 2, 61.0 (median 61.0 of 5; images of 3 kept)." in shown()
    assert "Not shown, since no images are kept of a run with a FID by that network: 8." in shown()
    assert "need not be typical. FIDs of the runs shown (gmm10, inception): Depth l 2: " in shown()


def test_fids_of_two_networks_are_not_compared(tmp_path: Path) -> None:
    """The network that has seen every run chooses, whichever comes first."""
    both = ["imagenet", "classifier"]
    content = content_of("table4", {"2": [5, 6, 90]}, extractors=both, runs_dir=tmp_path)
    (cell,) = [cell for cell, results in content.results.items() if results]
    first, second, third = content.results[cell]
    third = replace(third, measurements=third.measurements[1:])
    second.seen("imagenet", "fid")["gmm10"] = 1e6
    content = replace(content, results={cell: [first, second, third]})
    for run in (first, second, third):
        keep_images(run, {n: np.zeros((40, 1, 8, 8), np.uint8) for n in ("originals", "samples")})
    text = str(gallery.draw(FIGURES["samples-depth"], content).get_label())
    assert "FIDs of the runs shown (gmm10, classifier): " in text
    assert "2: seed 1, 6.00 (median 6.00 of 3; images of 3 kept)." in text


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_torchvisions_grid(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, channels, 8, 8), np.uint8)
    ours = gallery.tile(images)
    theirs = make_grid(from_numpy(images).flatten(0, 1), nrow=5, padding=1, pad_value=255)
    reference = theirs.numpy().transpose(1, 2, 0)[1:-1, 1:-1]
    assert np.array_equal(np.broadcast_to(ours, reference.shape), reference)
