"""The variational autoencoder, with the supplement's doubled layer and Sigmoid (section 1.2)."""

import torch
from torch.nn import functional as F

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder


def negative_elbo(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Mean binary cross-entropy minus beta times mean(1 + logvar - mu^2 - exp(logvar)).

    The first mean is over images and pixels, the second over images and latent dimensions.
    """
    mean, log_variance = model.encoder(images).chunk(2, dim=1)
    epsilon = torch.randn(mean.shape, generator=noise, device=mean.device)
    codes = mean + epsilon * torch.exp(0.5 * log_variance)
    output = model.decoder(codes)
    # Half precision ruins both: probabilities near 1 and exponentials of log-variances.
    with torch.autocast(images.device.type, enabled=False):
        mean, log_variance = mean.float(), log_variance.float()
        reconstruction = _cross_entropy(output.float(), images)
        divergence = torch.mean(1 + log_variance - mean.square() - log_variance.exp())
    return reconstruction - spec.parameter("beta") * divergence


def _cross_entropy(output: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy; not a number (NaN) where the output has a NaN.

    PyTorch's own refuses a NaN, on a GPU by an assertion after which the process cannot use the GPU
    any more. For finite outputs the result is the same to the bit.
    """
    entropy = F.binary_cross_entropy(output.nan_to_num(nan=0.5), images)
    return entropy + 0.0 * output.sum()


METHOD = Method(
    "vae",
    "Kingma and Welling, ICLR 2014",
    negative_elbo,
    output="sigmoid",
    doubled=True,
    has_prior=True,
    graph_safe=True,
)
