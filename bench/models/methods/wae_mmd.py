"""The Wasserstein autoencoder with the MMD penalty (Tolstikhin et al., ICLR 2018).

Read: the authors' code (tolstikhin/wae) and that of the RAE paper. Both add noise to the images
that are encoded in training, which is left out here.
"""

import torch

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RECONSTRUCTION = 0.05


def mmd(codes: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Estimate of the squared maximum mean discrepancy of two samples, possibly below 0.

    The kernel is inverse multiquadratic, C / (C + |a - b|^2), summed over seven scales s. For a
    standard normal prior C = 2 * latent_dim * s. Within a sample, no point is paired with itself
    (Tolstikhin et al. 2018, algorithm 2 and the settings of the experiments). Both are (n,
    latent_dim).
    """
    n, latent_dim = codes.shape
    within = _kernel(codes, codes, latent_dim) + _kernel(prior, prior, latent_dim)
    within = within - torch.diag(within.diagonal())
    across = _kernel(codes, prior, latent_dim)
    # A last batch may hold one image, which has no pairs within.
    return within.sum() / (n * max(n - 1, 1)) - 2 * across.sum() / n**2


def _kernel(a: torch.Tensor, b: torch.Tensor, latent_dim: int) -> torch.Tensor:
    squared = (a[:, None] - b[None]).square().sum(dim=2)
    constants = [2 * latent_dim * scale for scale in _SCALES]
    return torch.stack([c / (c + squared) for c in constants]).sum(dim=0)


def penalised_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """0.05 times the squared error summed over pixels, plus ``penalty`` times the MMD."""
    codes = model.codes(images)
    errors = (model.decoder(codes) - images).square().flatten(1).sum(dim=1)
    prior = torch.randn(codes.shape, generator=noise, device=codes.device)
    # In half precision, distances of nearly equal codes would cancel.
    with torch.autocast(images.device.type, enabled=False):
        penalty = spec.parameter("penalty") * mmd(codes.float(), prior)
        return _RECONSTRUCTION * errors.float().mean() + penalty


METHOD = Method(
    "wae-mmd", "Tolstikhin et al., ICLR 2018", penalised_error, has_prior=True, graph_safe=True
)
