"""Sampled images among test images, in the plane: Figure 2."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import asdict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import BenchError
from bench.files import write_bytes
from bench.report.frame import Content
from bench.report.layout import SAMPLERS, run_notes, title_of
from bench.report.overlap import FOLDS, NEIGHBOURS, PERPLEXITY, Overlap, Share, overlap
from bench.report.style import BLUE, ORANGE, caption
from bench.spec import HEADLINE_SAMPLER, FigureSpec
from bench.store import Record, Store

# Raised when anything changes what is cached.
_VERSION = 1


def draw(figure: FigureSpec, content: Content, store: Store) -> Figure:
    """A panel for each cell: test images in blue, sampled ones in orange, of its lowest seed."""
    cells = content.table.cells
    page = Figure(figsize=(3.2 * len(cells), 3.8))
    panels = page.subplots(1, len(cells), squeeze=False)[0]
    count, left_out, seeds = 0, [], set[int]()
    for axes, cell in zip(panels, cells, strict=True):
        axes.set(title=cell.label, xticks=[], yticks=[])
        axes.grid(visible=False)
        for record in content.records.get(cell, ())[:1]:
            found = _overlap(record, store)
            if found is None:
                left_out.append(record.run_id)
                continue
            _panel(axes, found)
            count = len(found.plane) // 2
            seeds.add(record.spec.seed)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        page.legend(
            handles, labels, loc="lower center", ncols=2, bbox_to_anchor=(0.5, -0.05), markerscale=3
        )
    page.suptitle(title_of(figure.title, figure.name, content), fontsize=10)
    notes = [
        f"{count} test images (blue), {count} samples (orange) a panel; seeds {_listed(seeds)}.",
        f"Sampler {HEADLINE_SAMPLER}: {SAMPLERS[HEADLINE_SAMPLER]}, fitted to training codes.",
        f"t-SNE of pixels (scikit-learn: perplexity {PERPLEXITY:g}, PCA start, seed 0).",
        (
            f"Told apart: accuracy of {NEIGHBOURS + 1} nearest neighbours on pixels, {FOLDS}-fold "
            f"cross-validation. Mixed: share of the {NEIGHBOURS} nearest images that are of the "
            "other kind. Both are 50% where samples and test images cannot be told apart; 95 % "
            "intervals (Wilson)."
        ),
    ]
    if left_out:
        notes.append(f"No images are cached of {', '.join(left_out)}.")
    # Below the legend.
    caption(page, ["", *notes, *run_notes(content)])
    return page


def _listed(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds))) or "none"


def _panel(axes: Axes, found: Overlap) -> None:
    n = len(found.plane) // 2
    look = {"s": 4, "alpha": 0.6, "linewidths": 0, "rasterized": True}
    axes.scatter(*found.plane[:n].T, color=BLUE, marker="o", label="test images", **look)  # type: ignore[arg-type]
    axes.scatter(*found.plane[n:].T, color=ORANGE, marker="^", label="samples", **look)  # type: ignore[arg-type]
    axes.set_xlabel(f"told apart {found.accuracy}\nmixed {found.mixing}", fontsize=8)


def _overlap(record: Record, store: Store) -> Overlap | None:
    """The run's overlap: cached with the hash of what it was computed from, or computed.

    A cached one is taken as it is where the images themselves are not at hand.
    """
    arrays = store.arrays(record.run_id)
    path = store.folder(record.run_id) / "tsne.npz"
    images = [arrays[name] for name in ("originals", "samples") if name in arrays]
    count = min((len(each) for each in images), default=0)
    clouds = [each[:count].reshape(count, -1) / np.float32(255) for each in images]
    digest = hashlib.sha256(f"{_VERSION} {PERPLEXITY} {NEIGHBOURS} {FOLDS}".encode())
    for cloud in clouds:
        digest.update(cloud.tobytes())
    inputs = digest.hexdigest() if len(clouds) == 2 else None
    cached = _read(store, record.run_id, inputs)
    if cached is not None or inputs is None:
        return cached
    found = overlap(*clouds)
    buffer = io.BytesIO()
    numbers = [list(asdict(share).values()) for share in (found.accuracy, found.mixing)]
    np.savez_compressed(buffer, inputs=np.array(inputs), plane=found.plane, numbers=numbers)
    # A runs folder that can only be read is no reason not to draw.
    with contextlib.suppress(BenchError):
        write_bytes(path, buffer.getvalue())
    return found


def _read(store: Store, run_id: str, inputs: str | None) -> Overlap | None:
    arrays = store.arrays(run_id, "tsne.npz")
    if not arrays or (inputs is not None and str(arrays["inputs"]) != inputs):
        return None
    accuracy, mixing = (Share(*map(float, row)) for row in arrays["numbers"])
    return Overlap(arrays["plane"], accuracy, mixing)
