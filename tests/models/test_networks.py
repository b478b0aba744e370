import copy
import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.experiments.columns import MNIST_IRMAE
from bench.experiments.spec import TrainingSpec
from bench.models.networks import initial_model
from tests.support.tiny import tiny

# The supplement's Table 1 as it is read in docs/decisions.md: the shape behind each layer that
# has weights.
TABLE_1 = {
    "shape": (
        (3, 32),
        32,
        [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2), (32, 1, 1)],
        [(256, 2, 2), (128, 4, 4), (64, 8, 8), (32, 16, 16), (3, 32, 32)],
    ),
    "mnist": (
        (1, 32),
        128,
        [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2), (128,)],
        [(8192,), (64, 16, 16), (32, 32, 32), (1, 32, 32)],
    ),
    "celeba": (
        (3, 64),
        512,
        [(128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (512,)],
        [(65536,), (512, 16, 16), (256, 32, 32), (128, 64, 64), (3, 64, 64)],
    ),
}


# No ReLU follows these layers: linear outputs, and the last ones.
WITHOUT_RELU = {
    "shape": [(3, 32, 32)],
    "mnist": [(128,), (1, 32, 32)],
    "celeba": [(512,), (65536,), (3, 64, 64)],
}


def _shapes(
    module: nn.Module, inputs: torch.Tensor
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Shapes behind the layers with weights, and those of them that no ReLU follows."""
    shapes, bare = [], []
    layers = list(module)  # type: ignore[call-overload]
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        inputs = layer(inputs)
        if any(True for _ in layer.parameters()):
            shapes.append(tuple(inputs.shape[1:]))
            if not isinstance(following, nn.ReLU):
                bare.append(shapes[-1])
    return shapes, bare


@pytest.mark.parametrize("network", TABLE_1)
def test_layers_are_those_of_table_1(network: str) -> None:
    (channels, size), latent_dim, encoder, decoder = TABLE_1[network]
    model = initial_model(TrainingSpec(network, "irmae", latent_dim, depth=4))
    with torch.no_grad():
        images = torch.rand(1, channels, size, size)
        encoded, bare_encoder = _shapes(model.encoder, images)
        decoded, bare_decoder = _shapes(model.decoder, torch.rand(1, latent_dim))
        assert model(images).shape == images.shape
        assert model.codes(images).shape == (1, latent_dim)
    assert (encoded, decoded) == (encoder, decoder)
    assert bare_encoder + bare_decoder == WITHOUT_RELU[network]
    assert isinstance(list(model.decoder)[-1], nn.Tanh)  # type: ignore[call-overload]


@pytest.mark.parametrize("network", TABLE_1)
def test_convolutions_are_4x4_with_stride_2(network: str) -> None:
    model = initial_model(TrainingSpec(network, "ae", TABLE_1[network][1]))
    kernels = [
        (m.kernel_size[0], m.stride[0], m.padding[0])
        for m in model.modules()
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    # Shape's are 2x2 on 2x2 maps at the code; MNIST's and CelebA's last keeps its size.
    exceptions = {"shape": [(2, 2, 0), (2, 2, 0)]}.get(network, [(1, 1, 0)])
    assert sorted(kernel for kernel in kernels if kernel != (4, 2, 1)) == exceptions


@pytest.mark.parametrize(("network", "architecture"), [("mnist", "table1"), ("celeba", "rae")])
def test_transposed_convolutions_are_pytorchs(network: str, architecture: str) -> None:
    spec = TrainingSpec(network, "ae", 8, width=0.125, architecture=architecture)
    model = initial_model(spec).double()
    plain = copy.deepcopy(model)
    for layer in plain.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            layer.__class__ = nn.ConvTranspose2d
    codes = torch.randn(3, 8, dtype=torch.float64)
    found, expected = model.decoder(codes), plain.decoder(codes)
    torch.testing.assert_close(found, expected)
    for images in (found, expected):
        images.square().sum().backward()
    for ours, theirs in zip(model.decoder.parameters(), plain.decoder.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_linear_layers_are_square_bias_free_and_scaled() -> None:
    plain = initial_model(MNIST_IRMAE)
    scaled = initial_model(replace(MNIST_IRMAE, init_scale=4.0))
    assert len(list(plain.linear.parameters())) == 8
    for one, four in zip(plain.linear.parameters(), scaled.linear.parameters(), strict=True):
        assert one.shape == (128, 128)
        assert torch.equal(4 * one, four)
        # PyTorch's default: uniform in +-1/sqrt(n), whose standard deviation is 1/sqrt(3 n).
        assert one.abs().max() <= 1 / math.sqrt(128)
        assert one.std().item() == pytest.approx(1 / math.sqrt(3 * 128), rel=0.02)


def test_codes_are_those_behind_the_linear_layers() -> None:
    model = initial_model(tiny("irmae", latent_dim=16, depth=3))
    images = torch.rand(2, 1, 32, 32)
    product = torch.eye(16)
    for weight in model.linear.parameters():
        product = weight @ product
    torch.testing.assert_close(model.codes(images), model.encoder(images) @ product.T)


def test_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    a = initial_model(tiny("irmae", seed=3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    b = initial_model(tiny("irmae", depth=4, seed=3))
    c = initial_model(tiny("irmae", seed=4))
    for x, y, z in zip(
        a.decoder.parameters(), b.decoder.parameters(), c.decoder.parameters(), strict=True
    ):
        assert torch.equal(x, y)
        assert not torch.equal(x, z)


def test_vae_doubles_the_encoder_and_ends_in_a_sigmoid() -> None:
    for network, ((channels, size), latent_dim, _, _) in TABLE_1.items():
        if network == "celeba":
            continue
        model = initial_model(TrainingSpec(network, "vae", latent_dim))
        images = torch.rand(4, channels, size, size)
        encoded = model.encoder(images)
        assert encoded.shape == (4, 2 * latent_dim)
        # No ReLU may keep the mean or the log-variance from being negative.
        assert encoded.min() < 0
        assert torch.equal(model.codes(images), encoded[:, :latent_dim])
        assert isinstance(list(model.decoder)[-1], nn.Sigmoid)  # type: ignore[call-overload]


@pytest.mark.parametrize(("name", "depth"), [("vae", 2), ("lorae", 0), ("lorae", 2)])
def test_linear_layers_that_a_loss_would_not_train_are_refused(name: str, depth: int) -> None:
    with pytest.raises(UsageError, match=f"depth must be [01], not {depth}"):
        initial_model(tiny(name, depth=depth))


def test_the_rae_paper_has_an_architecture_of_its_own() -> None:
    model = initial_model(TrainingSpec("celeba", "rae", 64, architecture="rae"))
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert {m.kernel_size for m in convolutions} == {(5, 5)}
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 2, 2, 2, 2, 1]
    assert [m.out_channels for m in convolutions] == [128, 256, 512, 1024, 512, 256, 128, 3]
    # Convolutions are normalised, four of the encoder and three of the decoder; the fully connected
    # layer is not, and no ReLU follows it.
    layers = [*model.encoder, *model.decoder]  # type: ignore[misc]
    before = [a for a, b in itertools.pairwise(layers) if isinstance(b, nn.ReLU)]
    assert [type(layer) for layer in before] == [nn.BatchNorm2d] * 7
    images = torch.rand(2, 3, 64, 64)
    assert model.codes(images).shape == (2, 64)
    assert model(images).shape == images.shape
    with pytest.raises(UsageError, match="rae architecture 'mnist': known: celeba"):
        initial_model(tiny("ae", architecture="rae"))


@pytest.mark.parametrize("network", TABLE_1)
def test_width_narrows_every_map_and_leaves_the_code(network: str) -> None:
    (channels, size), latent_dim, *rest = TABLE_1[network]
    encoder: Any = rest[0]
    model = initial_model(TrainingSpec(network, "ae", latent_dim, width=1 / 8))
    images = torch.rand(1, channels, size, size)
    with torch.no_grad():
        narrow, _ = _shapes(model.encoder, images)
        assert model(images).shape == images.shape
    for (maps, *_), (printed, *_) in zip(narrow[:4], encoder[:4], strict=True):
        assert maps == printed // 8
    assert narrow[-1] == encoder[-1]
