"""How well samples can be told from real images: nearest neighbours among features.

Xu et al., "An empirical study on evaluation metrics of generative adversarial networks", 2018.
"""

from __future__ import annotations

import torch

from bench.data.images import spread

# This many rows of the matrix of distances are in memory at once.
_ROWS = 1_000


def nearest_neighbours(real: torch.Tensor, samples: torch.Tensor) -> dict[str, float]:
    """Leave-one-out accuracy of a one-nearest-neighbour classifier, for each of the two sets.

    Where both sets come from one distribution, both shares are near 0.5. Their mean would hide
    blurred samples: these lie near everything, so that real images and samples both have samples as
    neighbours, and the mean is 0.5 again. Copies of the real images bring both shares to 0; one
    image that is repeated brings both to 1.

    Args:
        real: features (n, d) of real images, on any device, n at least 2.
        samples: features (m, d) of samples, on the same. Of the larger set a subset is used that is
            spread over it, since more points would lie nearer.

    Returns:
        ``real``, the share of real images whose nearest other image is real, and ``samples``, the
        share of samples whose nearest other image is a sample; in [0, 1].
    """
    count = min(len(real), len(samples))
    subsets = [each[spread(len(each), count).to(each.device)] for each in (real, samples)]
    together = torch.cat(subsets).double()
    # Centring changes no distance, and loses fewer digits in the products.
    together = together - together.mean(dim=0)
    norms = together.square().sum(dim=1)
    nearest = []
    for start in range(0, len(together), _ROWS):
        rows = together[start : start + _ROWS]
        distances = norms[None] - 2 * rows @ together.T
        distances[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        nearest.append(distances.argmin(dim=1))
    is_real = torch.cat(nearest) < count
    return {
        "real": is_real[:count].double().mean().item(),
        "samples": (~is_real[count:]).double().mean().item(),
    }
