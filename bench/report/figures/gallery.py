"""Images that models make, a block for each column of a table."""

import numpy as np
from matplotlib.figure import Figure

from bench.evaluation.protocol import WALK_DEVIATIONS
from bench.experiments.spec import FigureSpec
from bench.report.figures.style import RESOLUTION, caption
from bench.report.figures.typical import typical_runs
from bench.report.frame import TableResults
from bench.report.notes import before_columns, headline_note
from bench.store.folders import kept_images

_COLUMNS = 10
# Rows of samples in a block.
_ROWS = 4
# Blocks beside each other, and pixels of the file across each.
_BLOCKS, _WIDTH = 2, 800
# Inches: between blocks, above a block for its name, above all of them for the title.
_GAP, _NAME, _TITLE = 0.1, 0.22, 0.3

_WHAT = {
    "samples": "The first samples drawn, none chosen.",
    "reconstructions": "Above, test images; below, their reconstructions.",
    "interpolations": (
        "Each line has a pair of test images at its ends, between them their reconstructions and "
        "images decoded between the two codes."
    ),
    "walks": (
        "Each line follows a direction, by falling variance of the test codes: from "
        f"{WALK_DEVIATIONS:g} standard deviations on one side of the mean code to as many on the "
        "other."
    ),
}


def draw(figure: FigureSpec, content: TableResults) -> Figure:
    """A block of images for each cell, of a typical run."""
    kept = {
        result.run_id: _lines(figure.kind, kept_images(result, "originals", figure.kind))
        for result in content.all_results
    }
    shown, typical = typical_runs(content, lambda result: kept[result.run_id] is not None)
    axis = before_columns(content.table, ": ")
    blocks = {
        axis + cell.name: images
        for cell, result in shown.items()
        if result and (images := kept[result.run_id]) is not None
    }
    left_out = [cell.name for cell, result in shown.items() if result is None]
    page = _page(blocks)
    notes = [
        _WHAT[figure.kind],
        *([headline_note(content)] if figure.kind == "samples" else []),
        typical,
    ]
    if left_out:
        columns = ", ".join(left_out)
        notes.append(
            f"Not shown, since no images are kept of a run with a FID by that network: {columns}."
        )
    caption(page, notes)
    return page


def _lines(kind: str, arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """Images of a run (rows, columns, channels, size, size); None where they are not kept."""
    if not {kind, "originals"} <= arrays.keys():
        return None
    images = arrays[kind]
    if kind == "reconstructions":
        return np.stack([arrays["originals"][: len(images)], images])
    if kind == "interpolations":
        ends = arrays["originals"][: 2 * len(images)].reshape(-1, 2, *images.shape[2:])
        return np.concatenate([ends[:, :1], images, ends[:, 1:]], axis=1)
    if kind == "samples":
        return images[: _ROWS * _COLUMNS].reshape(_ROWS, _COLUMNS, *images.shape[1:])
    return images


def _page(blocks: dict[str, np.ndarray]) -> Figure:
    """Blocks from left to right, line by line; their pixels are whole pixels of the file."""
    tiles = {name: tile(images) for name, images in blocks.items()}
    widest = max((tiled.shape[1] for tiled in tiles.values()), default=_WIDTH)
    inch = RESOLUTION / max(1, _WIDTH // widest)
    lines = [list(tiles.items())[i : i + _BLOCKS] for i in range(0, len(tiles), _BLOCKS)]
    heights = [max(tiled.shape[0] for _, tiled in line) / inch + _NAME for line in lines]
    across = min(_BLOCKS, max(1, len(tiles))) * (widest / inch + _GAP) + _GAP
    down = _TITLE + sum(heights)
    page = Figure(figsize=(across, down))
    top = down - _TITLE
    for line, height in zip(lines, heights, strict=True):
        for i, (name, tiled) in enumerate(line):
            left, bottom = _GAP + i * (widest / inch + _GAP), top - _NAME - tiled.shape[0] / inch
            size = tiled.shape[1] / inch / across, tiled.shape[0] / inch / down
            axes = page.add_axes((left / across, bottom / down, *size))
            axes.set_axis_off()
            axes.set_title(name, fontsize=8, loc="left", pad=2)
            picture = tiled[:, :, 0] if tiled.shape[2] == 1 else tiled
            axes.imshow(picture, "gray", interpolation="nearest", aspect="auto", vmin=0, vmax=255)
        top -= height
    return page


def tile(images: np.ndarray) -> np.ndarray:
    """One picture (height, width, channels) of images (rows, columns, channels, size, size).

    A white line of one pixel lies between them.
    """
    room = np.pad(images, ((0, 0),) * 3 + ((0, 1),) * 2, constant_values=255)
    rows, columns, channels, height, width = room.shape
    whole = room.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    return whole[:-1, :-1]
