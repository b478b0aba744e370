"""Pictures of what a model has learnt: reconstructions, interpolations, walks."""

import numpy as np
import torch

from bench.evaluation.protocol import WALK_DEVIATIONS
from bench.models.networks import Autoencoder

RECONSTRUCTIONS = 10
PAIRS = 4
DIRECTIONS = 4
# Both ends of an interpolation are included. The middle of a walk is the mean code.
INTERPOLATION_STEPS = 10
WALK_STEPS = 9


def as_bytes(images: torch.Tensor) -> np.ndarray:
    """Decoded images, clipped to [0, 1], as uint8 of the same shape."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()


def pictures(model: Autoencoder, shown: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Decode codes of test images, and points between and around them.

    Args:
        model: decodes them.
        shown: codes (m, latent_dim) of the test images that are shown.
        codes: codes (n, latent_dim) of all test images.

    Returns:
        uint8 images (..., channels, size, size): ``reconstructions`` of the first shown images;
        ``interpolations`` (pairs, steps, ...), linear in the latent space between the first and
        second image, the third and fourth, and so on; ``walks`` (directions, steps, ...) along the
        principal directions of all codes, :data:`WALK_DEVIATIONS` standard deviations to either
        side of their mean.
    """

    def decoded(points: np.ndarray) -> np.ndarray:
        flat = torch.from_numpy(points.reshape(-1, points.shape[-1]).astype(np.float32))
        images = as_bytes(model.decoder(flat.to(model.device)))
        return images.reshape(*points.shape[:-1], *images.shape[1:])

    pairs = shown[: 2 * min(PAIRS, len(shown) // 2)].reshape(-1, 2, 1, shown.shape[1])
    share = np.linspace(0, 1, INTERPOLATION_STEPS)[:, None]
    return {
        "reconstructions": decoded(shown[:RECONSTRUCTIONS]),
        "interpolations": decoded((1 - share) * pairs[:, 0] + share * pairs[:, 1]),
        "walks": decoded(principal_walks(codes)),
    }


def principal_walks(codes: np.ndarray) -> np.ndarray:
    """Points along the first principal directions of codes (n, d): (directions, steps, d)."""
    codes = codes.astype(np.float64)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
    count = min(DIRECTIONS, codes.shape[1])
    deviations = np.sqrt(np.maximum(values[::-1][:count], 0))
    directions = vectors.T[::-1][:count]
    # The sign of an eigenvector is arbitrary: its largest entry is made positive.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1)
    steps = np.linspace(-WALK_DEVIATIONS, WALK_DEVIATIONS, WALK_STEPS)[:, None]
    ways = (directions * np.sign(largest) * deviations[:, None])[:, None]
    return codes.mean(axis=0) + steps * ways
