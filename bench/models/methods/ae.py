"""The plain autoencoder: IRMAE without linear layers (l = 0)."""

import torch
from torch.nn import functional as F

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder


def squared_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Mean squared error of the reconstructions, over images, channels and pixels."""
    return F.mse_loss(model(images), images)


METHOD = Method("ae", "Hinton and Salakhutdinov, Science 313, 2006", squared_error, graph_safe=True)
