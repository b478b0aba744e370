"""Picture files to prepared images: decoded one by one, resized many at a time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.images import resize
from bench.data.pictures import BadPictureError, Form

# Of CelebA's aligned images: width, height, and the side of the square cut from their middle.
CELEBA_SIZE, CELEBA_CROP = (178, 218), 148

_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB")
# Squares of one size are resized together, until they fill as much memory as this.
_PENDING_BYTES = 16 * 2**20


def render(
    contents: Iterable[bytes | BadPictureError], form: Form
) -> Iterator[tuple[np.ndarray, bool] | BadPictureError]:
    """Decode, cut and resize pictures.

    Args:
        contents: of picture files, or why one cannot be read.
        form: what they are turned into.

    Yields:
        In the order of the contents: uint8 (size, size, channels) and whether the colours had to be
        converted, or why there is no image: not a picture, truncated, of more than eight bits,
        of another shape.
    """
    pending: list[tuple[torch.Tensor, bool] | BadPictureError] = []
    size, side = 0, 0
    for content in contents:
        try:
            if isinstance(content, BadPictureError):
                raise content
            square, converted = _square(content, form)
        except BadPictureError as error:
            pending.append(error)
            continue
        if (side and side != len(square)) or size > _PENDING_BYTES:
            yield from _resized(pending, form)
            pending, size = [], 0
        side, size = len(square), size + square.numel()
        pending.append((square, converted))
    yield from _resized(pending, form)


def _resized(
    pending: list[tuple[torch.Tensor, bool] | BadPictureError], form: Form
) -> Iterator[tuple[np.ndarray, bool] | BadPictureError]:
    squares = [item[0] for item in pending if not isinstance(item, BadPictureError)]
    if squares:
        # Stacked with channels last, as they were decoded and as resizing is fastest.
        images = resize(torch.stack(squares).permute(0, 3, 1, 2), form.size)
        rows = iter(images.permute(0, 2, 3, 1).numpy())
    for item in pending:
        yield item if isinstance(item, BadPictureError) else (next(rows), item[1])


def _square(content: bytes, form: Form) -> tuple[torch.Tensor, bool]:
    """The part of a picture that is kept (side, side, channels), and whether it was converted."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of details of the file format that the user cannot act on.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content))
            mode = image.mode
            image.load()
            turned = ImageOps.exif_transpose(image) if form.crop == "square" else image
    except UnidentifiedImageError as error:
        raise BadPictureError("not a picture") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise BadPictureError(f"broken ({error})") from error
    if mode not in _EIGHT_BITS:
        raise BadPictureError(f"pixels of mode {mode}, not of eight bits")
    square = turned.crop(_box(*turned.size, form.crop))
    if square.has_transparency_data:
        # As a page shows it. What lies beneath transparent pixels is whatever a program left there.
        paper = Image.new("RGBA", square.size, "white")
        square = Image.alpha_composite(paper, square.convert("RGBA"))
    if square.mode != form.mode:
        square = square.convert(form.mode)
    pixels = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8)
    return pixels.view(*square.size, form.channels), mode != form.mode


def _box(width: int, height: int, crop: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square that is kept."""
    side = min(width, height)
    if crop == "celeba":
        if abs(width * CELEBA_SIZE[1] - height * CELEBA_SIZE[0]) > max(CELEBA_SIZE):
            raise BadPictureError(f"{width}x{height} is not of CelebA's shape, 178:218")
        side = round(width * CELEBA_CROP / CELEBA_SIZE[0])
    # Rounded as torchvision's CenterCrop does.
    left, top = round((width - side) / 2), round((height - side) / 2)
    return left, top, left + side, top + side
