"""The regularised autoencoder with a penalty on its decoder's gradient."""

import torch

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method, rae
from bench.models.networks import Autoencoder


def gradient_penalty(output: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Mean square, over images and latent dimensions, of the gradient of the summed squared output.

    The gradient is taken with respect to the codes (n, latent_dim), which the output was decoded
    from. The paper differentiates the output itself; its authors' code sums the squared output.
    """
    (gradient,) = torch.autograd.grad(output.square().sum(), codes, create_graph=True)
    return gradient.square().mean()


def penalised_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """RAE's loss plus ``gradient`` times the gradient penalty."""
    codes = model.codes(images)
    output = model.decoder(codes)
    loss = rae.error_and_code_penalty(output, codes, images, spec)
    return loss + spec.parameter("gradient") * gradient_penalty(output, codes)


METHOD = Method("rae-gp", rae.CITATION, penalised_error, graph_safe=True)
