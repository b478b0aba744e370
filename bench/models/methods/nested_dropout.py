"""Nested dropout (Rippel, Gelbart and Adams, ICML 2014): codes cut off at a random dimension.

Read: the abstract; no code of the authors' was found. The paper also freezes dimensions that have
converged, one after another ("unit sweeping"), which is left out here.
"""

import torch
from torch.nn import functional as F

from bench.errors import UsageError
from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder


def cut_off(codes: torch.Tensor, probability: float, noise: torch.Generator) -> torch.Tensor:
    """Set the dimensions of each of the codes (n, latent_dim) from a random one on to zero.

    The number of dimensions that are kept is at least 1 and geometric: b + 1 with the probability
    p (1 - p)^b.

    Raises:
        UsageError: p is not above 0 and at most 1.
    """
    if not 0 < probability <= 1:
        raise UsageError(f"probability={probability:g} must be above 0 and at most 1")
    uniform = torch.rand(len(codes), 1, generator=noise, device=codes.device)
    # The inverse of the geometric distribution function, at uniform numbers; clamped to the largest
    # below 1, so that it stays finite.
    steps = torch.log1p(-uniform.clamp(max=1 - 2**-24)) / torch.log1p(torch.tensor(-probability))
    return codes * (torch.arange(codes.shape[1], device=codes.device) <= steps.floor())


def error_behind_the_cut(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Mean squared error of reconstructions from codes that are cut off."""
    codes = cut_off(model.codes(images), spec.parameter("probability"), noise)
    return F.mse_loss(model.decoder(codes), images)


METHOD = Method(
    "nested-dropout", "Rippel, Gelbart and Adams, ICML 2014", error_behind_the_cut, graph_safe=True
)
