"""The supplement's Table 1: encoder and decoder for each data set, linear layers between them.

Slips in the printed table are read as docs/decisions.md lists.
"""

from __future__ import annotations

import torch
from torch import nn

from bench.errors import unknown
from bench.spec import derive_seed


class Autoencoder(nn.Module):
    """Encoder, bias-free linear layers, decoder.

    Attributes:
        encoder: images (n, channels, size, size) in [0, 1] to (n, latent_dim), or to
            (n, 2 * latent_dim) where the code is ``doubled`` (mean and log-variance).
        linear: the ``depth`` linear layers of IRMAE; empty for other methods.
        decoder: codes (n, latent_dim) to images (n, channels, size, size).
        doubled: whether the encoder puts out a mean and a log-variance.
    """

    def __init__(
        self, encoder: nn.Module, linear: nn.Module, decoder: nn.Module, doubled: bool
    ) -> None:
        """Join the parts."""
        super().__init__()
        self.encoder = encoder
        self.linear = linear
        self.decoder = decoder
        self.doubled = doubled

    def codes(self, images: torch.Tensor) -> torch.Tensor:
        """Codes (n, latent_dim) behind the linear layers; the mean where the code is doubled."""
        encoded = self.encoder(images)
        return self.linear(encoded.chunk(2, dim=1)[0] if self.doubled else encoded)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Reconstructions of images, the same shape."""
        return self.decoder(self.codes(images))


_Layers = list[nn.Module]


def _conv(inputs: int, outputs: int, kernel: int = 4, padding: int = 1) -> _Layers:
    return [nn.Conv2d(inputs, outputs, kernel, stride=2, padding=padding), nn.ReLU()]


def _conv_transposed(inputs: int, outputs: int, kernel: int = 4, padding: int = 1) -> _Layers:
    return [nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=padding), nn.ReLU()]


def _shape(latent_dim: int, width: int, doubled: bool) -> tuple[_Layers, _Layers]:
    encoder = [*_conv(3, 32), *_conv(32, 64), *_conv(64, 128), *_conv(128, 256)]
    encoder += _conv(256, width, kernel=2, padding=0)
    if doubled:
        # A mean and a log-variance must be free to be negative.
        encoder.pop()
    encoder += [nn.Flatten()]
    decoder: _Layers = [nn.Unflatten(1, (latent_dim, 1, 1))]
    decoder += _conv_transposed(latent_dim, 256, kernel=2, padding=0)
    decoder += [*_conv_transposed(256, 128), *_conv_transposed(128, 64), *_conv_transposed(64, 32)]
    decoder += [nn.ConvTranspose2d(32, 3, 4, stride=2, padding=1)]
    return encoder, decoder


def _mnist(latent_dim: int, width: int, doubled: bool) -> tuple[_Layers, _Layers]:
    encoder = [*_conv(1, 32), *_conv(32, 64), *_conv(64, 128), *_conv(128, 256)]
    encoder += [nn.Flatten(), nn.Linear(1024, width)]
    decoder: _Layers = [nn.Linear(latent_dim, 8192), nn.ReLU(), nn.Unflatten(1, (128, 8, 8))]
    decoder += [*_conv_transposed(128, 64), *_conv_transposed(64, 32)]
    decoder += [nn.ConvTranspose2d(32, 1, 1)]
    return encoder, decoder


def _celeba(latent_dim: int, width: int, doubled: bool) -> tuple[_Layers, _Layers]:
    encoder = [*_conv(3, 128), *_conv(128, 256), *_conv(256, 512), *_conv(512, 1024)]
    encoder += [nn.Flatten(), nn.Linear(16384, width)]
    decoder: _Layers = [nn.Linear(latent_dim, 65536), nn.Unflatten(1, (1024, 8, 8))]
    decoder += [*_conv_transposed(1024, 512), *_conv_transposed(512, 256)]
    decoder += [*_conv_transposed(256, 128), nn.ConvTranspose2d(128, 3, 1)]
    return encoder, decoder


_NETWORKS = {"shape": _shape, "mnist": _mnist, "celeba": _celeba}
_OUTPUTS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def build(
    network: str,
    *,
    latent_dim: int,
    depth: int = 0,
    init_scale: float = 1.0,
    doubled: bool = False,
    output: str = "tanh",
    seed: int = 0,
) -> Autoencoder:
    """Build an autoencoder with PyTorch's default initialisation, drawn from a seed of its own.

    Args:
        network: column of Table 1: ``shape`` (32x32x3), ``mnist`` (32x32x1), ``celeba`` (64x64x3).
        latent_dim: size of the code.
        depth: number of bias-free linear layers (latent_dim x latent_dim) after the encoder.
        init_scale: factor on the initial weights of those layers (section 2.1).
        doubled: double the encoder's output, for a VAE's mean and log-variance.
        output: last activation of the decoder, ``tanh`` or ``sigmoid``.
        seed: seed of the initial weights. PyTorch's global generator is left as it was.

    Raises:
        UsageError: an unknown network or output.
    """
    if network not in _NETWORKS:
        raise unknown("network", network, _NETWORKS)
    if output not in _OUTPUTS:
        raise unknown("output activation", output, _OUTPUTS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("weights", seed))
        encoder, decoder = _NETWORKS[network](latent_dim, latent_dim * (1 + doubled), doubled)
        linear = [nn.Linear(latent_dim, latent_dim, bias=False) for _ in range(depth)]
    with torch.no_grad():
        for layer in linear:
            layer.weight.mul_(init_scale)
    model = Autoencoder(
        nn.Sequential(*encoder),
        nn.Sequential(*linear),
        nn.Sequential(*decoder, _OUTPUTS[output]()),
        doubled,
    )
    # Twice as fast on a CPU, and what tensor cores want.
    return model.to(memory_format=torch.channels_last)
