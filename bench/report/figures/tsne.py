"""Sampled images among test images, in the plane: Figure 2."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from bench.errors import BenchError
from bench.experiments.spec import HEADLINE_SAMPLER, FigureSpec
from bench.report.claims import span
from bench.report.figures.style import BLUE, ORANGE, caption
from bench.report.figures.typical import typical_runs
from bench.report.frame import TableResults
from bench.report.metrics import REAL
from bench.report.notes import fid_notes, headline_note
from bench.store.folders import kept_images, write_arrays
from bench.store.records import Result

_PERPLEXITY = 30.0
_SEED = 0
_NEIGHBOURS = 10
# Raised when anything changes what is cached.
_VERSION = 2


def draw(figure: FigureSpec, content: TableResults) -> Figure:
    """A panel for each cell: test images in blue, sampled ones in orange, of a typical run."""
    cells = content.table.cells
    page = Figure(figsize=(3.2 * len(cells), 3.8))
    panels = page.subplots(1, len(cells), squeeze=False)[0]
    counts: list[int] = []
    left_out = []
    shown, typical = typical_runs(content, _is_drawable, "points")
    described = {cell: run or content.results[cell][0] for cell, run in shown.items()}
    for axes, cell in zip(panels, cells, strict=True):
        axes.set(title=cell.label, xticks=[], yticks=[])
        axes.grid(visible=False)
        if cell not in shown:
            continue
        result = shown[cell]
        lines = _numbers(described[cell], content.extractors)
        plane = _embedding(result) if result else "no run with images has a FID by that network"
        if isinstance(plane, str):
            left_out.append(f"{cell.name} ({plane})")
        else:
            counts.append(count := len(plane) // 2)
            look: dict[str, Any] = {"s": 4, "alpha": 0.6, "linewidths": 0, "rasterized": True}
            axes.scatter(*plane[:count].T, color=BLUE, marker="o", label="test images", **look)
            axes.scatter(*plane[count:].T, color=ORANGE, marker="^", label="samples", **look)
            lines.append(f"in the plane: own kind {_own_kind(plane):.0%}")
        axes.set_xlabel("\n".join(lines), fontsize=6.5)
    # One legend serves all panels, of which some may be empty.
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels)
    if labelled := {label: handle for pair in pairs for handle, label in pair}:
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.02)}
        page.legend(labelled.values(), labelled.keys(), **place, ncols=2, markerscale=3)
    shown_of_each = span(counts or [0])
    notes = [
        f"{shown_of_each} test images (blue), {shown_of_each} samples (orange) a panel.",
        typical,
        headline_note(content),
        f"t-SNE of pixels (scikit-learn: perplexity {_PERPLEXITY:g}, PCA start, seed {_SEED}).",
        (
            "Below each panel: the share of all real test images, and of as many samples, whose "
            "nearest other image in an extractor's features is of their own kind; in brackets, of "
            "real training images in place of samples, which is what a perfect sampler reaches. In "
            f"the plane: among the {_NEIGHBOURS} nearest points of each point, the share of its "
            "own kind; 50% where nothing tells the two apart. Samples that an extractor tells from "
            "test images can lie among them to the eye, since the plane is of pixels."
        ),
    ]
    if left_out:
        notes.append(f"Not drawn: {', '.join(left_out)}.")
    seen = {name for run in described.values() for name in run.extractors}
    drawn = [name for name in content.extractors if name in seen]
    described_by = replace(content, display=replace(content.display, extractors=drawn))
    caption(page, [*notes, *fid_notes(described_by, samplers=False)])
    return page


def _numbers(result: Result, extractors: Sequence[str]) -> list[str]:
    """What nearest neighbours tell of the samples that are drawn, and of real images."""
    return [
        f"{extractor}: {text} {seen[HEADLINE_SAMPLER][side]:.0%} ({seen[REAL][side]:.0%})"
        for extractor in extractors
        if (seen := result.seen(extractor, "neighbours"))
        for side, text in (("real", "real called real"), ("samples", "samples called samples"))
    ]


def _own_kind(plane: np.ndarray) -> float:
    """Mean share, among the nearest points of each point, of those of its own kind."""
    count = len(plane) // 2
    nearest = min(_NEIGHBOURS, len(plane) - 1)
    near = NearestNeighbors(n_neighbors=nearest).fit(plane).kneighbors(return_distance=False)
    kinds = np.arange(len(plane)) < count
    return float((kinds[near] == kinds[:, None]).mean())


def _is_drawable(result: Result) -> bool:
    return bool(kept_images(result, "plane", kind="tsne") or kept_images(result, "samples"))


def _embedding(result: Result) -> np.ndarray | str:
    """Test images and samples in the plane (2 n, 2), computed once and kept with the run.

    The cached one is taken as it is where the images themselves are not at hand; why there is none
    where there is neither.
    """
    images = list(kept_images(result, "originals", "samples").values())
    cached = kept_images(result, kind="tsne")
    if len(images) < 2:
        return cached.get("plane", "no images are cached")
    count = min(map(len, images))
    points = np.concatenate([each[:count].reshape(count, -1) for each in images])
    inputs = hashlib.sha256(f"{_VERSION} {_PERPLEXITY} {_SEED}".encode() + points.tobytes())
    if cached and str(cached["inputs"]) == inputs.hexdigest():
        return cached["plane"]
    # On such points scikit-learn's t-SNE crashes the process.
    if np.ptp(points, axis=0).max() == 0:
        return "all of its images are alike"
    plane = embed(points / np.float32(255))
    # A runs folder that can only be read is no reason not to draw.
    with contextlib.suppress(BenchError):
        arrays = {"inputs": np.array(inputs.hexdigest()), "plane": plane}
        write_arrays(result.folder / f"tsne-{result.measurements[0].identity}.npz", arrays)
    return plane


def embed(points: np.ndarray) -> np.ndarray:
    """t-SNE of points (n, d) in the plane (n, 2), the same for the same points."""
    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=_SEED)
    return tsne.fit_transform(points)
