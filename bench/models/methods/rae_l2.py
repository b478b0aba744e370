"""The regularised autoencoder with weight decay on its decoder."""

import torch

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method, rae
from bench.models.networks import Autoencoder


def penalised_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """RAE's loss plus ``decay`` times the decoder's squared kernels, summed without the biases."""
    kernels = [weight for weight in model.decoder.parameters() if weight.ndim > 1]
    squares = torch.stack([kernel.square().sum() for kernel in kernels]).sum()
    loss = rae.penalised_error(model, images, noise, spec)
    return loss + spec.parameter("decay") * squares


METHOD = Method("rae-l2", rae.CITATION, penalised_error, graph_safe=True)
