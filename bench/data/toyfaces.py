"""Procedural faces: a stand-in for photographs where those cannot be had, with known factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bench.data import Dataset
from bench.data.images import LoadedData, Split, generated

IMAGE_SIZE = 64
# Independent and uniform in [0, 1].
FACTORS = (
    *("turn", "tilt", "skin", "hair colour", "hair length", "eye colour"),
    *("eye opening", "smile", "mouth opening", "light", "background hue", "background brightness"),
)
BINS = 8
# Rows and columns of the head, however it is tilted.
_HEAD = (slice(9, 57), slice(11, 53))
# Few enough for the maps of a chunk to stay in a core's cache.
_CHUNK = 8

_Array = np.ndarray


def load(dataset: Dataset, data_dir: Path) -> LoadedData:
    """Generate both splits from the declared seed, see :meth:`bench.data.Dataset.load`."""
    return generated(dataset, generate)


def generate(count: int, seed: int) -> Split:
    """Draw faces whose factors are independent and uniform.

    Returns:
        Images (count, 3, 64, 64), and labels (count, 12): each of :data:`FACTORS` in eight bins.
    """
    factors = np.random.default_rng(seed).random((count, len(FACTORS)), dtype=np.float32)
    images = np.empty((count, 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part] = draw(factors[part])
    labels = torch.from_numpy((factors * BINS).astype(np.int64))
    return Split(torch.from_numpy(images), labels)


def draw(factors: _Array) -> _Array:
    """Faces (n, 3, 64, 64), uint8, of factors (n, 12) in [0, 1]; the same factors, the same face.

    Shapes are drawn in the head's own coordinates, in which its half-width is about 0.5, from the
    background forward: background, hair behind the head, head, eyes, nose, mouth, fringe, light.
    """
    turn, tilt, skin, hair, length, eyes, opening, smile, mouth, light, hue, brightness = (
        factors.T.astype(np.float32)[:, :, None, None, None]
    )
    y, x = np.mgrid[0:IMAGE_SIZE, 0:IMAGE_SIZE].astype(np.float32) / (IMAGE_SIZE / 2) - 1
    angle = (tilt - 0.5) * 0.6
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    shift = (turn - 0.5) * 0.36

    image = _hue(hue) * (0.25 + 0.75 * brightness) * (1 - 0.2 * y)
    hair_colour = _between(hair, (0.08, 0.06, 0.05), (0.85, 0.68, 0.35))
    behind = _ellipse(u, v + 0.12, 0.62, 0.70)
    fall = _inside(0.56 - np.abs(u)) * _inside(v + 0.12) * _inside(-0.05 + 1.0 * length - v)
    _paint(image, np.maximum(behind * _inside(0.1 - v), fall), hair_colour)

    skin_colour = _between(skin, (0.33, 0.20, 0.13), (0.98, 0.83, 0.72))
    _paint(image, _inside(0.18 - np.abs(u)) * _inside(v - 0.4), 0.85 * skin_colour)
    _paint(image, _ellipse(u, v, 0.48, 0.64), skin_colour)

    # What follows lies within the head; the view paints on the image.
    whole, image, u, v = image, image[..., *_HEAD], u[..., *_HEAD], v[..., *_HEAD]
    iris = _between(eyes, (0.25, 0.13, 0.05), (0.25, 0.55, 0.85))
    for side in (-1, 1):
        # The far eye comes nearer to the middle as the head turns.
        du, dv = u - shift - side * 0.2 * (1 - 0.4 * np.abs(shift)), v + 0.1
        height = 0.025 + 0.075 * opening
        white = _ellipse(du, dv, 0.115, height)
        _paint(image, white, _colour(0.96, 0.96, 0.96))
        pupil = white * _ellipse(du - 0.2 * shift, dv, 0.06, 0.06)
        _paint(image, pupil, iris)
        _paint(image, white * _ellipse(du - 0.2 * shift, dv, 0.025, 0.025), iris * 0.1)
        _paint(image, _ellipse(du, dv + 0.16, 0.13, 0.022), hair_colour * 0.7)
    nose = _ellipse(u - 1.25 * shift, v - 0.12, 0.045, 0.11)
    _paint(image, 0.6 * nose, 0.78 * skin_colour)

    mu = u - shift
    curve = v - 0.36 + (smile - 0.35) * 1.6 * (mu**2 - 0.03)
    lips = _ellipse(mu, curve, 0.21, 0.035 + 0.07 * mouth)
    _paint(image, lips, skin_colour * _colour(0.85, 0.45, 0.45))
    gap = _ellipse(mu, curve, 0.16, 0.07 * mouth)
    _paint(image, gap * (mouth > 0.1), _colour(0.25, 0.05, 0.06))
    fringe = _ellipse(u, v + 0.02, 0.52, 0.68) * _inside(-0.34 - v)
    _paint(image, fringe, hair_colour)

    whole *= 1 + 0.45 * (light * 2 - 1) * x
    return (whole.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _inside(distance: _Array) -> _Array:
    """Coverage of a pixel in [0, 1] by its distance inside an edge; edges are a pixel wide."""
    return (0.5 + distance * (IMAGE_SIZE / 2)).clip(0, 1)


def _ellipse(u: _Array, v: _Array, width: _Array | float, height: _Array | float) -> _Array:
    """Coverage by an ellipse with half-axes ``width`` and ``height`` about 0."""
    radius = np.sqrt((u / width) ** 2 + (v / (height + 1e-6)) ** 2)
    return _inside((1 - radius) * np.minimum(width, height))


def _paint(image: _Array, coverage: _Array, colour: _Array) -> None:
    """Lay a colour (n or 1, 3, 1, 1) over images (n, 3, h, w), as far as it covers them."""
    image += coverage * (colour - image)


def _colour(red: float, green: float, blue: float) -> _Array:
    return np.array([red, green, blue], np.float32)[:, None, None]


def _between(
    share: _Array, low: tuple[float, float, float], high: tuple[float, float, float]
) -> _Array:
    return _colour(*low) + share * (_colour(*high) - _colour(*low))


def _hue(hue: _Array) -> _Array:
    """Colours of half saturation by hue in [0, 1], which does not come back to its start."""
    return 0.65 + 0.35 * np.cos(hue * 5 + _colour(0.0, -2.1, 2.1))
