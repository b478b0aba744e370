import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench.data.images import LoadedData
from bench.errors import UsageError
from bench.models.methods import Method, method, register_method, vae
from bench.models.methods.rae_gp import gradient_penalty
from bench.models.methods.wae_mmd import mmd
from bench.models.networks import Autoencoder, initial_model
from bench.training.run_in_training import RunInTraining
from tests.support.diary import train_all, weights
from tests.support.tiny import METHODS, PARAMETERS, TINY, UNSAFE, tiny

IMAGES = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def _model() -> Autoencoder:
    return initial_model(tiny("ae", seed=1))


def _loss(name: str, model: Autoencoder, **change: float) -> torch.Tensor:
    spec = tiny(name).with_settings(change)
    return method(name).loss(model, IMAGES, torch.Generator().manual_seed(3), spec)


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_filed_under_their_names_and_cite_a_source(name: str) -> None:
    """Those alone that decompose matrices are not graph safe."""
    assert method(name).name == name
    assert any(character.isdigit() for character in method(name).citation)
    assert method(name).graph_safe == (name not in UNSAFE)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_missing_parameter_is_named(name: str) -> None:
    spec = replace(tiny(name), parameters=())
    with pytest.raises(UsageError, match=f"{name} needs the parameter"):
        RunInTraining(spec, torch.device("cpu")).advance(torch.zeros(64, 1, 32, 32).byte())


def _kernel(a: torch.Tensor, b: torch.Tensor) -> float:
    """Sum over scales of C / (C + |a - b|^2), C = 2 n s, written out for one pair of points."""
    squared = float(((a - b) ** 2).sum())
    constants = [2 * len(a) * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    return math.fsum(c / (c + squared) for c in constants)


def test_mmd_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(4, 3, generator=generator, dtype=torch.float64) + 1
    pairs = [(i, j) for i in range(4) for j in range(4)]
    within = math.fsum(_kernel(z[i], z[j]) for z in (x, y) for i, j in pairs if i != j)
    across = math.fsum(_kernel(x[i], y[j]) for i, j in pairs)
    assert mmd(x, y).item() == pytest.approx(within / 12 - 2 * across / 16, rel=1e-12)


def test_mmd_of_one_code_has_no_pairs_within() -> None:
    x, y = torch.zeros(1, 2), torch.ones(1, 2)
    assert mmd(x, y).item() == pytest.approx(-2 * _kernel(x[0], y[0]))


def test_wae_scales_the_summed_error() -> None:
    model = _model()
    with torch.no_grad():
        codes = model.codes(IMAGES)
        summed = (model.decoder(codes) - IMAGES).square().sum() / len(IMAGES)
        prior = torch.randn(codes.shape, generator=torch.Generator().manual_seed(3))
        assert _loss("wae-mmd", model, penalty=0).item() == pytest.approx(0.05 * summed.item())
        expected = 0.05 * summed + 7 * mmd(codes, prior)
        assert _loss("wae-mmd", model, penalty=7).item() == pytest.approx(expected.item())


def test_rae_adds_the_mean_square_of_the_codes() -> None:
    model = _model()
    with torch.no_grad():
        error = (model(IMAGES) - IMAGES).square().mean()
        codes = model.codes(IMAGES).square().mean()
        assert _loss("rae", model, beta=0).item() == pytest.approx(error.item())
        assert _loss("rae", model, beta=2).item() == pytest.approx((error + 2 * codes).item())


def test_rae_l2_decays_the_decoders_kernels_alone() -> None:
    model = _model()
    with torch.no_grad():
        plain = _loss("rae-l2", model, decay=0)
        kernels = sum(
            layer.weight.square().sum().item()
            for layer in model.decoder.modules()
            if isinstance(layer, nn.Linear | nn.ConvTranspose2d)
        )
        assert torch.equal(plain, _loss("rae", model))
        decayed = _loss("rae-l2", model, decay=0.5)
        assert decayed.item() == pytest.approx(plain.item() + 0.5 * kernels, rel=1e-5)


def test_gradient_penalty_by_finite_differences() -> None:
    """The gradient is with respect to the codes, of each image's own summed squared output."""
    decoder = _model().decoder.double()
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(3, 8, dtype=torch.float64, generator=generator, requires_grad=True)
    penalty = gradient_penalty(decoder(codes), codes)
    step = 1e-6
    squares = []
    with torch.no_grad():
        for i in range(3):
            for j in range(8):
                shift = torch.zeros(8, dtype=torch.float64)
                shift[j] = step
                ends = [decoder((codes[i] + s * shift)[None]).square().sum() for s in (1, -1)]
                squares.append(((ends[0] - ends[1]).item() / (2 * step)) ** 2)
    assert penalty.item() == pytest.approx(math.fsum(squares) / len(squares), rel=1e-5)


def test_rae_gp_trains_through_its_penalty() -> None:
    model = _model()
    plain, penalised = _loss("rae-gp", model, gradient=0), _loss("rae-gp", model, gradient=1)
    assert penalised > plain
    weight = next(model.decoder.parameters())
    gradients = [torch.autograd.grad(loss, weight)[0] for loss in (plain, penalised)]
    assert not torch.allclose(gradients[0], gradients[1])


def test_spectral_norms_are_bounded_by_one() -> None:
    run = RunInTraining(replace(tiny("rae-sn"), learning_rate=1e-3), torch.device("cpu"))
    images = (IMAGES * 255).to(torch.uint8).repeat(11, 1, 1, 1)[:64]
    for _ in range(40):
        run.advance(images)
    run.model.eval()
    layers = [
        layer
        for layer in run.model.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert len(layers) == 9
    for layer in layers:
        matrix = layer.weight.detach()
        # In transposed kernels the inputs come first, as the authors have it.
        norm = torch.linalg.matrix_norm(matrix.flatten(1), 2).item()
        # One power iteration a step follows a moving weight closely, not exactly.
        assert norm == pytest.approx(1, abs=0.05)


def test_spectral_normalisation_draws_from_the_seed_alone() -> None:
    def initial() -> list[torch.Tensor]:
        run = RunInTraining(tiny("rae-sn"), torch.device("cpu"))
        return [value.clone() for value in run.model.state_dict().values()]

    torch.manual_seed(1)
    first, state = initial(), torch.get_rng_state()
    torch.manual_seed(2)
    second = initial()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(UsageError, match="exists already"):
        register_method(Method("vae", "", method("ae").loss))
    with pytest.raises(UsageError, match="did you mean rae-"):
        method("rae-l3")


class _Fixed(Autoencoder):
    """An autoencoder whose encoder puts out given numbers and whose decoder is the identity."""

    def __init__(self, encoded: torch.Tensor, doubled: bool) -> None:
        class Encoder(nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return encoded

        super().__init__(
            Encoder(), nn.Identity(), nn.Sigmoid() if doubled else nn.Identity(), doubled
        )


def test_ae_and_irmae_minimise_the_mean_squared_error() -> None:
    images = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    model = _Fixed(torch.tensor([[0.5, 1.0], [0.5, 0.0]]), doubled=False)
    for name in ("ae", "irmae"):
        loss = method(name).loss(model, images, torch.Generator(), TINY)
        assert loss.item() == pytest.approx((0.25 + 0.25) / 4)


def test_vae_loss_by_hand() -> None:
    images = torch.tensor([[0.2, 0.9], [0.0, 1.0]])
    mean = torch.tensor([[0.3, -0.7], [1.0, 0.0]])
    log_variance = torch.tensor([[-1.0, 0.5], [0.0, -2.0]])
    model = _Fixed(torch.cat([mean, log_variance], dim=1), doubled=True)
    loss = method("vae").loss(model, images, torch.Generator().manual_seed(5), tiny("vae"))

    epsilon = torch.randn(2, 2, generator=torch.Generator().manual_seed(5))
    output = torch.sigmoid(mean + epsilon * log_variance.exp().sqrt())
    cross_entropy = -(images * output.log() + (1 - images) * (1 - output).log()).mean()
    # KL of diagonal Gaussians by torch.distributions: half the negative sum in the loss.
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(
        normal(mean, (0.5 * log_variance).exp()), normal(0.0, 1.0)
    )
    assert loss.item() == pytest.approx((cross_entropy + 0.1 * 2 * divergence.mean()).item())


@pytest.mark.parametrize("name", ["wae-mmd", "rae", "rae-l2", "rae-gp", "rae-sn"])
def test_methods_train_in_the_rae_papers_architecture(name: str) -> None:
    spec = tiny(name, dataset="shape-64", architecture="rae", width=1 / 64)
    run = RunInTraining(replace(spec, learning_rate=1e-3), torch.device("cpu"))
    before = [weight.clone() for weight in run.model.parameters()]
    run.advance(torch.randint(0, 256, (64, 3, 64, 64), dtype=torch.uint8))
    assert run.loss.isfinite()
    moved = [not torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2


def test_the_vaes_loss_is_pytorchs_to_the_bit(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (RunInTraining(tiny("vae"), torch.device("cpu")) for _ in range(2))
    train_all(sample.train.images, ours)
    monkeypatch.setattr(vae, "_cross_entropy", F.binary_cross_entropy)
    train_all(sample.train.images, theirs)
    assert torch.equal(weights(ours), weights(theirs))
