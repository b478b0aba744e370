"""The content of a picture file to one prepared image."""

import io
import warnings
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.images import resize
from bench.data.pictures import BadPictureError, Form

# CelebA's aligned images: width, height, and the side of the square cut from their middle.
CELEBA_SIZE, CELEBA_CROP = (178, 218), 148

_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB")
# Their files hold pictures of equal rank. What cameras put behind the first one of a JPEG does not
# count: previews of the same picture.
_STACKS = ("TIFF", "GIF", "PNG", "WEBP", "AVIF")


class Decoded(NamedTuple):
    """A prepared image.

    Attributes:
        pixels: uint8 (size, size, channels).
        converted: whether the colours had to be converted.
        unused: pages or frames of the file beyond the first.
    """

    pixels: np.ndarray
    converted: bool
    unused: int


def decode(content: bytes, form: Form) -> Decoded:
    """Decode, cut and resize a picture, by the content of its file.

    Raises:
        BadPictureError: it is not a picture, truncated, of more than eight bits, of another shape.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of details of the file format that the user cannot act on.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content))
            mode = image.mode
            unused = getattr(image, "n_frames", 1) - 1 if image.format in _STACKS else 0
            image.load()
            turned = ImageOps.exif_transpose(image) if form.crop == "square" else image
    except MemoryError:
        # Not the picture's fault.
        raise
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
        try:
            square = square.convert(form.mode)
        except ValueError as error:
            raise BadPictureError(str(error)) from error
    pixels = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8)
    # Channels last in memory, as they were decoded and as resizing is fastest.
    pixels = pixels.view(1, *square.size, form.channels).permute(0, 3, 1, 2)
    resized = resize(pixels, form.size)[0].permute(1, 2, 0)
    return Decoded(resized.numpy(), mode != form.mode, unused)


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
