"""The regularised autoencoder (RAE) without a regulariser on its decoder."""

import torch
from torch.nn import functional as F

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder

CITATION = "Ghosh et al., ICLR 2020"


def error_and_code_penalty(
    output: torch.Tensor, codes: torch.Tensor, images: torch.Tensor, spec: TrainingSpec
) -> torch.Tensor:
    """Mean squared error plus ``beta`` times the mean square of the codes."""
    return F.mse_loss(output, images) + spec.parameter("beta") * codes.square().mean()


def penalised_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """The loss of the plain RAE, to which the others add: error and a penalty on the codes."""
    codes = model.codes(images)
    return error_and_code_penalty(model.decoder(codes), codes, images, spec)


METHOD = Method("rae", CITATION, penalised_error, graph_safe=True)
