"""The supplement's Table 1: encoder and decoder for each data set, linear layers between them.

docs/decisions.md lists the slips in the printed table, and how they are read.
"""

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from bench.data import dataset
from bench.errors import UsageError, unknown
from bench.experiments.spec import TrainingSpec
from bench.hashing import derive_seed
from bench.models.methods import method


class Autoencoder(nn.Module):
    """Encoder, bias-free linear layers, decoder.

    Attributes:
        encoder: maps images (n, channels, size, size) in [0, 1] to (n, latent_dim), or to
            (n, 2 * latent_dim), mean and log-variance, where it is ``doubled``.
        linear: bias-free linear layers, a method's projection, or nothing.
        decoder: maps codes (n, latent_dim) to images (n, channels, size, size).
        doubled: whether the encoder returns a mean and a log-variance.
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

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def codes(self, images: torch.Tensor) -> torch.Tensor:
        """Codes (n, latent_dim) after the linear layers; a doubled encoder's means."""
        encoded = self.encoder(images)
        return self.linear(encoded.chunk(2, dim=1)[0] if self.doubled else encoded)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Reconstructions of images, the same shape."""
        return self.decoder(self.codes(images))


class _Upsampling(nn.ConvTranspose2d):
    """A transposed convolution that adds its bias afterwards.

    Within the convolution oneDNN's gradient of the bias takes up to a tenth of a training step.
    """

    bias: nn.Parameter

    def forward(self, maps: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Maps (n, outputs, height, width) of maps (n, inputs, height, width)."""
        padding = int(self.padding[0])
        result = F.conv_transpose2d(
            maps, self.weight, None, self.stride, padding, self.output_padding
        )
        # In half precision a bias in fp32 would be added far more slowly.
        return result.add_(self.bias.to(result.dtype).view(-1, 1, 1))


_Layers = list[nn.Module]


def _relu() -> nn.Module:
    # In place: the same numbers, and one map less to write and to keep.
    return nn.ReLU(inplace=True)


def _conv(inputs: int, outputs: int, kernel: int = 4, padding: int = 1) -> _Layers:
    return [nn.Conv2d(inputs, outputs, kernel, stride=2, padding=padding), _relu()]


def _conv_transposed(inputs: int, outputs: int, kernel: int = 4, padding: int = 1) -> _Layers:
    return [_Upsampling(inputs, outputs, kernel, stride=2, padding=padding), _relu()]


def _conv_5x5(inputs: int, outputs: int) -> _Layers:
    return [nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), nn.BatchNorm2d(outputs), _relu()]


def _conv_transposed_5x5(inputs: int, outputs: int) -> _Layers:
    layer = _Upsampling(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
    return [layer, nn.BatchNorm2d(outputs), _relu()]


def _stack(layers: Callable[[int, int], _Layers], *channels: int) -> _Layers:
    return [layer for pair in itertools.pairwise(channels) for layer in layers(*pair)]


def _channels(first: int, width: float) -> list[int]:
    """Numbers of channels of four layers at this width, each twice the last; at least 1 each."""
    return [max(1, round(first * 2**i * width)) for i in range(4)]


def _shape(latent_dim: int, outputs: int, width: float) -> tuple[_Layers, _Layers]:
    a, b, c, d = _channels(32, width)
    encoder = [*_stack(_conv, 3, a, b, c, d), *_conv(d, outputs, kernel=2, padding=0)]
    if outputs > latent_dim:
        # A ReLU would keep mean and log-variance from being negative.
        encoder.pop()
    encoder += [nn.Flatten()]
    decoder: _Layers = [nn.Unflatten(1, (latent_dim, 1, 1))]
    decoder += _conv_transposed(latent_dim, d, kernel=2, padding=0)
    decoder += _stack(_conv_transposed, d, c, b, a)
    decoder += [_Upsampling(a, 3, 4, stride=2, padding=1)]
    return encoder, decoder


def _mnist(latent_dim: int, outputs: int, width: float) -> tuple[_Layers, _Layers]:
    a, b, c, d = _channels(32, width)
    encoder = [*_stack(_conv, 1, a, b, c, d), nn.Flatten(), nn.Linear(4 * d, outputs)]
    decoder: _Layers = [nn.Linear(latent_dim, 64 * c), _relu(), nn.Unflatten(1, (c, 8, 8))]
    decoder += [*_stack(_conv_transposed, c, b, a), _Upsampling(a, 1, 1)]
    return encoder, decoder


def _celeba(latent_dim: int, outputs: int, width: float) -> tuple[_Layers, _Layers]:
    a, b, c, d = _channels(128, width)
    encoder = [*_stack(_conv, 3, a, b, c, d), nn.Flatten(), nn.Linear(16 * d, outputs)]
    decoder: _Layers = [nn.Linear(latent_dim, 64 * d), nn.Unflatten(1, (d, 8, 8))]
    decoder += [*_stack(_conv_transposed, d, c, b, a), _Upsampling(a, 3, 1)]
    return encoder, decoder


def _celeba_rae(latent_dim: int, outputs: int, width: float) -> tuple[_Layers, _Layers]:
    """5x5 kernels and batch norm (Ghosh et al. 2020, appendix and code)."""
    a, b, c, d = _channels(128, width)
    encoder = [*_stack(_conv_5x5, 3, a, b, c, d), nn.Flatten(), nn.Linear(16 * d, outputs)]
    decoder: _Layers = [nn.Linear(latent_dim, 64 * d), nn.Unflatten(1, (d, 8, 8))]
    decoder += [*_stack(_conv_transposed_5x5, d, c, b, a), _Upsampling(a, 3, 5, padding=2)]
    return encoder, decoder


_NETWORKS: dict[tuple[str, str], Callable[[int, int, float], tuple[_Layers, _Layers]]] = {
    ("shape", "table1"): _shape,
    ("mnist", "table1"): _mnist,
    ("celeba", "table1"): _celeba,
    ("celeba", "rae"): _celeba_rae,
}
_OUTPUTS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def initial_model(spec: TrainingSpec) -> Autoencoder:
    """A run's model on the CPU, with PyTorch's default initialisation by the run's seed.

    Its network is the column of Table 1 that its data declare; ``celeba`` alone has the
    architecture ``rae``, too. PyTorch's global generator is left as it was.

    Raises:
        UsageError: a network without that architecture, a depth that the method does not take, or
            an unknown output.
    """
    chosen, network = method(spec.method), dataset(spec.dataset).network
    if (network, spec.architecture) not in _NETWORKS:
        known = [name for name, form in _NETWORKS if form == spec.architecture]
        raise unknown(f"network of the {spec.architecture} architecture", network, known)
    if chosen.doubled and spec.depth:
        raise UsageError(f"{spec.method} takes no linear layers: depth must be 0, not {spec.depth}")
    if chosen.output not in _OUTPUTS:
        raise unknown("output activation", chosen.output, _OUTPUTS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("weights", spec.seed))
        # A VAE's encoder has two outputs for each latent dimension.
        size, outputs = spec.latent_dim, spec.latent_dim * (1 + chosen.doubled)
        encoder, decoder = _NETWORKS[network, spec.architecture](size, outputs, spec.width)
        linear = [nn.Linear(size, size, bias=False) for _ in range(spec.depth)]
        with torch.no_grad():
            for layer in linear:
                layer.weight.mul_(spec.init_scale)
        model = Autoencoder(
            nn.Sequential(*encoder),
            nn.Sequential(*linear),
            nn.Sequential(*decoder, _OUTPUTS[chosen.output]()),
            chosen.doubled,
        )
        # Channels last is twice as fast on a CPU, and tensor cores need it.
        model.to(memory_format=torch.channels_last)
        if chosen.adapt is not None:
            # It may draw numbers, as a spectral norm's power iteration does. The seed has the name
            # that earlier runs were made with.
            torch.manual_seed(derive_seed("prepare", spec.seed))
            chosen.adapt(model, spec)
    return model
