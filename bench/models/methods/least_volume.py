"""Least Volume (Chen and Fuge, ICLR 2024): a small product of the codes' standard deviations.

Read: the abstract and the authors' code (IDEALLab/Least_Volume_ICLR2024: ``VolumeAE_BCE``,
``spectral_norm_conv``). There the error is binary cross-entropy, here the suite's mean squared
error behind a Tanh, which is far smaller. Their code also has leaky ReLUs, Adam with betas of 0.9
and 0.99, and batches of 100.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder

# The authors' eta: a direction without variance counts as one.
_OFFSET = 1.0
_FIRST_ITERATIONS = 100


def volume(codes: torch.Tensor) -> torch.Tensor:
    """Geometric mean of the standard deviations of codes (n, latent_dim), each plus one.

    A last batch may hold one image, which has no deviation: 1.
    """
    if len(codes) < 2:
        return torch.ones((), device=codes.device)
    return torch.exp(torch.log(codes.std(dim=0) + _OFFSET).mean())


def error_and_volume(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Mean squared error plus ``volume`` times the volume of the batch's codes."""
    codes = model.codes(images)
    # In half precision the deviations of codes far from 0 would have few digits.
    with torch.autocast(images.device.type, enabled=False):
        penalty = spec.parameter("volume") * volume(codes.float())
    return F.mse_loss(model.decoder(codes), images) + penalty


class OperatorNorm(nn.Module):
    """Divides a transposed convolution's kernel by the largest singular value of the whole map.

    That depends on the size of its input, unlike the norm of the kernel as a matrix. A power
    iteration a step tracks it; ``direction`` is the input that the map stretches most.
    """

    direction: torch.Tensor

    def __init__(self, layer: nn.ConvTranspose2d, size: torch.Size) -> None:
        """Find the norm for inputs of that size, (channels, height, width)."""
        super().__init__()
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])
        self.register_buffer("direction", _unit(torch.randn(1, *size)))
        self._iterate(layer.weight, _FIRST_ITERATIONS)

    def forward(self, kernel: torch.Tensor) -> torch.Tensor:
        """The kernel over the norm; in training, after one more iteration."""
        if self.training:
            self._iterate(kernel, 1)
        # A copy, since the next step changes it before the gradient is taken.
        return kernel / self._mapped(self.direction.clone(), kernel).norm()

    def _mapped(self, images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose2d(images, kernel, stride=self._stride, padding=self._padding)

    @torch.no_grad()
    def _iterate(self, kernel: torch.Tensor, times: int) -> None:
        for _ in range(times):
            mapped = self._mapped(self.direction, kernel)
            back = F.conv2d(mapped, kernel, stride=self._stride, padding=self._padding)
            self.direction.copy_(_unit(back))


def _unit(images: torch.Tensor) -> torch.Tensor:
    return images / images.norm().clamp(min=1e-12)


def normalise_decoder(model: Autoencoder, spec: TrainingSpec) -> None:
    """Divide every layer of the decoder by its operator norm, so that it stretches nothing."""
    images = torch.zeros(1, spec.latent_dim)
    for layer in cast("nn.Sequential", model.decoder):
        size = images.shape[1:]
        with torch.no_grad():
            images = layer(images)
        if isinstance(layer, nn.ConvTranspose2d):
            parametrize.register_parametrization(layer, "weight", OperatorNorm(layer, size))
        elif isinstance(layer, nn.Linear):
            spectral_norm(layer)


METHOD = Method(
    "least-volume",
    "Chen and Fuge, ICLR 2024",
    error_and_volume,
    adapt=normalise_decoder,
    graph_safe=True,
)
