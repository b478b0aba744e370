"""Methods that reduce the rank, each against a definition of its own."""

from collections.abc import Iterator

import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from bench.errors import UsageError
from bench.evaluation.spectrum import effective_rank, rank, spectrum
from bench.experiments.spec import TrainingSpec
from bench.models import networks
from bench.models.methods import method
from bench.models.methods.least_volume import OperatorNorm, volume
from bench.models.methods.nested_dropout import cut_off
from bench.models.methods.rrae import truncated
from bench.models.networks import initial_model
from bench.models.precision import arithmetic
from bench.training.run_in_training import RunInTraining
from tests.support.tiny import tiny

CPU = torch.device("cpu")
IMAGES = torch.rand(40, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def _noise() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def _batches() -> Iterator[torch.Tensor]:
    yield from IMAGES.split(16)


def test_lorae_adds_the_nuclear_norm_and_its_gradient() -> None:
    spec = tiny("lorae", parameters=(("nuclear", 0.5),))
    model = initial_model(spec)
    (weight,) = model.linear.parameters()
    loss = method("lorae").loss(model, IMAGES, _noise(), spec)
    error = F.mse_loss(model(IMAGES), IMAGES)
    norm = torch.linalg.matrix_norm(weight.detach(), ord="nuc")
    assert loss.item() == pytest.approx((error + 0.5 * norm).item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss - error, weight)
    left, _, right = torch.linalg.svd(weight.detach())
    torch.testing.assert_close(gradient, 0.5 * left @ right, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (1, 1, 0), (3, 1, 1)])
def test_the_operator_norm_is_that_of_the_dense_matrix(
    kernel: int, stride: int, padding: int
) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(3, 2, kernel, stride, padding, bias=False)
    norm = OperatorNorm(layer, torch.Size((3, 4, 4))).eval()
    basis = torch.eye(48).reshape(48, 3, 4, 4)
    dense = layer(basis).reshape(48, -1)
    largest = torch.linalg.svdvals(dense)[0]
    torch.testing.assert_close(norm(layer.weight), layer.weight / largest, rtol=1e-3, atol=1e-6)
    # Measuring moves nothing that training goes on from.
    before, other = norm.direction.clone(), torch.randn_like(layer.weight)
    norm(other)
    assert torch.equal(norm.direction, before)
    norm.train()(other)
    assert not torch.equal(norm.direction, before)


def test_every_layer_of_the_least_volume_decoder_has_norm_one() -> None:
    """After training has changed its weights, and power iterations have followed."""
    spec = tiny("least-volume")
    run = RunInTraining(spec, CPU)
    for _ in range(30):
        run.advance((IMAGES[:1].expand(64, -1, -1, -1) * 255).byte())
    model = run.model.eval()
    codes = torch.randn(200, spec.latent_dim, generator=_noise())
    stretched = model.decoder(codes[:100]) - model.decoder(codes[100:])
    apart = (codes[:100] - codes[100:]).norm(dim=1)
    assert (stretched.flatten(1).norm(dim=1) <= 1.01 * apart).all()
    first = next(layer for layer in model.decoder.modules() if isinstance(layer, nn.Linear))
    assert torch.linalg.svdvals(first.weight.detach())[0].item() == pytest.approx(1, abs=0.02)


def test_the_volume_of_known_codes() -> None:
    # Deviations of 1 and 3, each plus one.
    codes = torch.tensor([[1.0, 3.0], [-1.0, -3.0], [0.0, 0.0]])
    assert volume(codes).item() == pytest.approx((2 * 4) ** 0.5)
    assert volume(torch.ones(5, 3)).item() == pytest.approx(1)
    # A last batch may hold one image.
    assert volume(torch.ones(1, 3)).item() == 1


@pytest.mark.parametrize(("rows", "columns"), [(6, 9), (9, 6), (5, 5)])
def test_truncated_codes_are_the_best_of_their_rank_with_autograds_gradient(
    rows: int, columns: int
) -> None:
    codes = torch.randn(rows, columns, dtype=torch.float64, generator=_noise(), requires_grad=True)
    found = truncated(codes, 3)
    assert torch.linalg.matrix_rank(found) == 3
    values = torch.linalg.svdvals(codes.detach())
    left_out = (codes - found).norm().item()
    assert left_out == pytest.approx(values[3:].norm().item())
    weights = torch.randn(rows, columns, dtype=torch.float64, generator=_noise())
    left, s, right = torch.linalg.svd(codes, full_matrices=False)
    reference = (left[:, :3] * s[:3]) @ right[:3]
    (expected,) = torch.autograd.grad((reference * weights).sum(), codes)
    (gradient,) = torch.autograd.grad((found * weights).sum(), codes)
    torch.testing.assert_close(gradient, expected)


def test_the_gradient_is_right_where_a_kept_singular_value_is_near_one_that_is_not() -> None:
    left, right = (
        torch.linalg.qr(torch.randn(n, 3, generator=_noise()).double())[0] for n in (5, 3)
    )
    values = torch.tensor([1.0, 0.5, 0.499], dtype=torch.float64)
    codes = ((left * values) @ right.T).requires_grad_()
    gradcheck(lambda x: truncated(x, 2), codes, eps=1e-7, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("directions", [2, 4])
def test_equal_and_absent_singular_values_leave_the_gradient_finite(directions: int) -> None:
    """Autograd's own is infinite or not a number there."""
    codes = torch.zeros(6, 5)
    codes[:3, :3] = torch.eye(3)
    codes.requires_grad_()
    (gradient,) = torch.autograd.grad(truncated(codes, directions).square().sum(), codes)
    assert gradient.isfinite().all()


def test_fewer_codes_than_directions_stay_as_they_are() -> None:
    codes = torch.randn(2, 5, generator=_noise(), requires_grad=True)
    found = truncated(codes, 4)
    torch.testing.assert_close(found, codes)
    (gradient,) = torch.autograd.grad(found.sum(), codes)
    torch.testing.assert_close(gradient, torch.ones(2, 5))


def test_fitted_codes_lie_in_the_first_directions_of_the_training_codes() -> None:
    spec = tiny("rrae")
    model, fit = initial_model(spec), method("rrae").fit
    assert fit is not None
    with torch.no_grad():
        whole = model.codes(IMAGES)
        fit(model, _batches, spec)
        codes = model.codes(IMAGES)
    assert torch.linalg.matrix_rank(whole, rtol=1e-5) == spec.latent_dim
    assert torch.linalg.matrix_rank(codes, rtol=1e-5) == 3
    torch.testing.assert_close(codes, truncated(whole, 3), rtol=1e-3, atol=1e-5)


def test_nested_dropout_keeps_geometrically_many_dimensions() -> None:
    kept = cut_off(torch.ones(20_000, 12), 0.3, _noise())
    counts = kept.sum(dim=1)
    # What is kept comes first.
    assert torch.equal(kept, (torch.arange(12) < counts[:, None]).float())
    for count in range(1, 12):
        share = (counts == count).float().mean().item()
        expected = 0.3 * 0.7 ** (count - 1)
        assert share == pytest.approx(expected, abs=4 * (expected / 20_000) ** 0.5)
    assert (counts == 12).float().mean().item() == pytest.approx(0.7**11, abs=0.005)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("rrae", "directions", 0.4),
        ("rrae", "directions", 9),
        ("nested-dropout", "probability", 0),
        ("nested-dropout", "probability", 1.5),
    ],
)
def test_a_setting_without_a_meaning_is_refused(name: str, parameter: str, value: float) -> None:
    spec = tiny(name, parameters=((parameter, value),))
    with pytest.raises(UsageError, match=f"{parameter}=.* must be"):
        method(name).loss(initial_model(spec), IMAGES, _noise(), spec)


def test_in_bf16_the_volume_has_the_digits_of_fp32() -> None:
    spec = tiny("least-volume", parameters=(("volume", 1.0),))
    # In training each pass would move the operator norms.
    model = initial_model(spec).eval()
    with arithmetic("bf16", CPU), torch.no_grad():
        loss = method("least-volume").loss(model, IMAGES, _noise(), spec)
        codes = model.codes(IMAGES)
        error = F.mse_loss(model.decoder(codes), IMAGES)
    assert loss == error + volume(codes.float())


def test_pca_is_scikit_learns() -> None:
    spec = tiny("pca")
    model, fit = initial_model(spec), method("pca").fit
    assert fit is not None
    with torch.no_grad():
        fit(model, _batches, spec)
        found = model(IMAGES)
        codes = model.codes(IMAGES)
    rows = IMAGES.flatten(1).double().numpy()
    reference = PCA(spec.latent_dim, svd_solver="full").fit(rows)
    theirs = reference.transform(rows)
    expected = torch.from_numpy(reference.inverse_transform(theirs)).float()
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        codes.abs(), torch.from_numpy(theirs).float().abs(), rtol=1e-3, atol=1e-3
    )


def test_weight_decay_is_adamws() -> None:
    spec = tiny("irmae-wd", parameters=(("weight_decay", 5.0),), learning_rate=1e-3)
    ours = RunInTraining(spec, CPU)
    model = initial_model(spec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=5.0)
    images = (IMAGES * 255).byte()
    for _ in range(3):
        chosen = ours.next_batch(CPU) % len(images)
        ours.take_step(images, chosen)
        ours.count()
        optimizer.zero_grad()
        batch = images[chosen].float() / 255
        F.mse_loss(model(batch), batch).backward()
        optimizer.step()
    for a, b in zip(ours.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def _linear(latent_dim: int, outputs: int, width: float) -> tuple[list[nn.Module], list[nn.Module]]:
    """A linear autoencoder in place of Table 1's, which no rank but the data's is in the way of."""
    encoder = [nn.Flatten(), nn.Linear(256, outputs, bias=False)]
    return encoder, [nn.Linear(latent_dim, 256, bias=False), nn.Unflatten(1, (1, 16, 16))]


def _after_training(
    spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[float], float]:
    """Spectrum of the codes, and error, on images in a 3-dimensional linear subspace."""
    monkeypatch.setitem(networks._NETWORKS, ("mnist", "table1"), _linear)
    monkeypatch.setitem(networks._OUTPUTS, "tanh", nn.Identity)
    generator = torch.Generator().manual_seed(0)
    # Half of the pixels each, so that no pixel is above 1.
    directions = (torch.rand(3, 256, generator=generator) < 0.5) / 3
    shares = torch.rand(64, 3, generator=generator) * torch.tensor([1.0, 0.7, 0.5])
    images = (shares @ directions * 255).byte().reshape(64, 1, 16, 16)
    run = RunInTraining(spec, CPU)
    while run.step < spec.steps:
        run.advance(images)
    run.record_spectrum(images, images)
    with torch.no_grad():
        error = F.mse_loss(run.model.eval()(images / 255), images / 255).item()
        codes = run.model.codes(images / 255)
    return spectrum(codes.double().numpy()).tolist(), error


@pytest.mark.parametrize(
    ("name", "knob", "soft", "strong"),
    [
        ("irmae-wd", "weight_decay", 0.0, 3.0),
        ("lorae", "nuclear", 0.0, 1e-2),
        ("least-volume", "volume", 0.0, 3e-2),
        ("rrae", "directions", 8.0, 2.0),
        ("pca", "latent_dim", 3, 2),
        ("ae", "latent_dim", 8, 2),
        ("irmae", "depth", 1, 8),
    ],
)
def test_the_rank_falls_as_the_knob_is_turned(
    monkeypatch: pytest.MonkeyPatch, name: str, knob: str, soft: float, strong: float
) -> None:
    """From three, the data's own, which is reached where the knob is off, to two or one."""
    spec = tiny(name, epochs=100, learning_rate=1e-2)
    (softly, less), (strongly, more) = (
        _after_training(spec.with_settings({knob: value}), monkeypatch) for value in (soft, strong)
    )
    assert rank(softly, 1e-2) == 3
    assert rank(strongly, 1e-2) in (1, 2)
    assert less < more


def test_nested_dropout_orders_dimensions_more_than_it_leaves_them_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is kept at times, so that the rank stays; the first ones carry ever more."""
    spec = tiny("nested-dropout", epochs=100, learning_rate=1e-2)
    (softly, _), (strongly, _) = (
        _after_training(spec.with_settings({"probability": value}), monkeypatch)
        for value in (0.01, 0.6)
    )
    assert rank(softly, 1e-2) == 3
    assert effective_rank(strongly) < effective_rank(softly)
