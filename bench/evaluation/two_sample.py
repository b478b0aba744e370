"""How well samples can be told from real images: nearest neighbours among features.

Xu et al., "An empirical study on evaluation metrics of generative adversarial networks", 2018.
"""

from __future__ import annotations

import torch

# Rows of the matrix of distances that are in memory at once.
_ROWS = 1_000


def nearest_neighbours(real: torch.Tensor, samples: torch.Tensor) -> dict[str, float]:
    """Leave-one-out accuracy of one nearest neighbour, on either side.

    Where both sets are drawn from one distribution, either share is near 0.5. Both sides are
    needed: blurred samples lie near everything, so that real images are taken for samples and
    samples for samples, and the mean of the two is 0.5 again. Copies of the real images bring both
    shares to 0, one image that is repeated brings both to 1.

    Args:
        real: features (n, d) of real images, on any device, n at least 2.
        samples: features (n, d) of as many samples.

    Returns:
        ``real``, the share of real images whose nearest other image is real, and ``samples``, the
        share of samples whose nearest other image is a sample; in [0, 1].

    Raises:
        ValueError: the sets are not equally large, so that the larger would be nearer.
    """
    if real.shape != samples.shape:
        raise ValueError(f"sets of {len(real)} and {len(samples)} images cannot be compared")
    together = torch.cat([real, samples]).double()
    # Distances do not change, and lose fewer digits.
    together = together - together.mean(dim=0)
    norms = together.square().sum(dim=1)
    nearest = []
    for start in range(0, len(together), _ROWS):
        rows = together[start : start + _ROWS]
        distances = norms[None] - 2 * rows @ together.T
        distances[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        nearest.append(distances.argmin(dim=1))
    is_real = torch.cat(nearest) < len(real)
    return {
        "real": is_real[: len(real)].double().mean().item(),
        "samples": (~is_real[len(real) :]).double().mean().item(),
    }
