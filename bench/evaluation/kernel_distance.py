"""Kernel distance of features (KID; Binkowski et al., "Demystifying MMD GANs", 2018).

Its expectation does not depend on the number of images, unlike a Fréchet distance's.
"""

import torch

# This many rows of a matrix of similarities are in memory at once.
_ROWS = 1_000


def self_similarity(features: torch.Tensor) -> float:
    """Mean of the kernel over all pairs of different rows of features (n, d), n at least 2."""
    # A row's similarity to itself.
    own = (features.double().square().sum(dim=1) / features.shape[1] + 1).pow(3).sum()
    count = len(features)
    return ((_total(features, features) - own) / (count * (count - 1))).item()


def kernel_distance(samples: torch.Tensor, real: torch.Tensor, real_similarity: float) -> float:
    """Unbiased squared distance of means of features (m, d), (n, d), under (x y / d + 1)^3.

    Where both sets come from one distribution it is 0 on average, and below it more often than
    not. The similarity is :func:`self_similarity` of the real images, which is the same for all
    samples.
    """
    between = _total(samples, real).item() / (len(samples) * len(real))
    return self_similarity(samples) + real_similarity - 2 * between


def _total(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    columns = b.double().T
    parts = (part.double() @ columns for part in a.split(_ROWS))
    return torch.stack([(part / a.shape[1] + 1).pow(3).sum() for part in parts]).sum()
