import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.images import LoadedData
from bench.errors import BenchError, UsageError
from bench.experiments.spec import TrainingSpec
from bench.models import methods
from bench.models.methods import Method
from bench.models.methods.rrae import truncated
from bench.models.networks import Autoencoder
from bench.models.precision import arithmetic
from bench.training.run_in_training import NonFiniteLossError, RunInTraining, batch_order
from tests.support.diary import Diary, moved_alike, train_all, weights
from tests.support.tiny import METHODS, TINY, tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_bit_identical(sample: LoadedData, method: str) -> None:
    spec, diary = tiny(method), Diary()
    whole = RunInTraining(spec, CPU)
    assert train_all(sample.train.images, whole, diary=diary) == {}
    assert [step for _, step in diary.states] == [4, 8, spec.steps]
    assert [line["epoch"] for line in whole.history] == [0.5, 1, 1.5, 2, 2.5, 3]
    for step in (4, 8):
        resumed = RunInTraining(spec, CPU)
        resumed.load_state_dict(diary.states[spec, step])
        train_all(sample.train.images, resumed)
        assert torch.equal(weights(resumed), weights(whole))
        lines = [[(row["step"], row["loss"]) for row in run.history] for run in (whole, resumed)]
        assert lines[0] == lines[1]
        assert np.array_equal(resumed.spectra, whole.spectra)


def test_no_checkpoint_holds_a_diverged_state(sample: LoadedData) -> None:
    diary = Diary()
    bad = RunInTraining(TINY, CPU)
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("inf"))
    train_all(sample.train.images, bad, diary=diary)
    assert diary.states == {}


def test_a_step_is_adams(sample: LoadedData) -> None:
    """Against PyTorch's plain Adam and autograd, step by step."""
    spec = replace(TINY, epochs=1)
    run = RunInTraining(spec, CPU)
    model = copy.deepcopy(run.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=False)
    diary = Diary()
    train_all(sample.train.images, run, diary=diary)
    losses = []
    for batch in batch_order(spec, 0).split(16):
        images = sample.train.images[batch].float() / 255
        loss = ((model(images) - images) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    means = [(losses[0] + losses[1]) / 2, (losses[2] + losses[3]) / 2]
    assert diary.losses(spec) == pytest.approx(means, rel=1e-5)
    for ours, theirs in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_moments_that_have_faded_are_flushed_and_move_no_weight(sample: LoadedData) -> None:
    """Subnormal numbers, with which a CPU is many times slower, against steps that keep them."""
    runs = flushed, kept = [RunInTraining(TINY, CPU) for _ in range(2)]
    moments = []
    for run in runs:
        weight, bias, *_ = run.model.parameters()
        # Its first feature is always zero, and so is the gradient of what made it.
        bias.data[0] = -100
        run.advance(sample.train.images)
        moments.append(run.optimizer.state[weight]["exp_avg"])
        moments[-1][0] = 1e-40
    train_all(sample.train.images, flushed)
    while kept.step < TINY.steps:
        kept.advance(sample.train.images)
    assert not moments[0][0].any()
    assert moments[1][0].all()
    assert torch.equal(weights(flushed), weights(kept))


def test_a_spectrum_that_finds_no_memory_is_taken_once_more(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = once, always = [RunInTraining(replace(TINY, seed=seed), CPU) for seed in range(2)]
    taken = []
    real = RunInTraining.record_spectrum

    def record(run: RunInTraining, *images: torch.Tensor) -> None:
        taken.append(run)
        if run is always or taken.count(once) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(run, *images)

    monkeypatch.setattr(RunInTraining, "record_spectrum", record)
    assert list(train_all(sample.train.images, *runs)) == [always]
    assert taken.count(always) == 2
    assert (once.step, len(once.spectra)) == (TINY.steps, TINY.epochs)


def test_an_incomplete_last_batch_is_trained_on(sample: LoadedData) -> None:
    spec = replace(TINY, train_images=50, epochs=1)
    assert spec.steps == 4
    run = RunInTraining(spec, CPU)
    sizes = []
    encoder = run.model.encoder
    encoder.register_forward_hook(
        lambda module, inputs, output: sizes.append(len(output)) if module.training else None
    )
    train_all(sample.train.images, run)
    assert sizes == [16, 16, 16, 2]


def test_bf16_learns_as_fp32_does(sample: LoadedData) -> None:
    full, half = (
        RunInTraining(replace(TINY, learning_rate=1e-3, epochs=5, precision=precision), CPU)
        for precision in ("fp32", "bf16")
    )
    diary = Diary()
    for run in (full, half):
        assert train_all(sample.train.images, run, diary=diary) == {}
    losses = diary.losses(full.spec)
    assert losses[-1] < 0.8 * losses[0]
    assert diary.losses(half.spec) == pytest.approx(losses, rel=0.02)
    assert weights(half).dtype == torch.float32
    assert not torch.equal(weights(half), weights(full))


def test_bf16_moves_weights_as_fp32_does(sample: LoadedData) -> None:
    fp32, bf16, untrained = (
        RunInTraining(replace(TINY, precision=p), CPU) for p in ("fp32", "bf16", "fp32")
    )
    train_all(sample.train.images, fp32)
    train_all(sample.train.images, bf16)
    assert moved_alike(bf16, fp32, 0.1)
    assert not moved_alike(untrained, fp32, 0.9)


def test_a_precision_is_refused_where_it_cannot_be_had(sample: LoadedData) -> None:
    with pytest.raises(UsageError, match="tf32 needs a GPU"):
        train_all(sample.train.images, RunInTraining(replace(TINY, precision="tf32"), CPU))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_gpu_follows_cpu(sample: LoadedData, precision: str) -> None:
    gpu = torch.device("cuda")
    ours, reference = (
        RunInTraining(replace(TINY, precision=precision), gpu),
        RunInTraining(TINY, CPU),
    )
    assert train_all(sample.train.images.to(gpu), ours) == {}
    train_all(sample.train.images, reference)
    # On a CPU bf16 ends 0.02 of the way from fp32.
    assert moved_alike(ours, reference, {"fp32": 0.01, "tf32": 0.05, "bf16": 0.1}[precision])


def test_a_vae_that_diverges_is_a_run_that_failed(sample: LoadedData) -> None:
    """PyTorch's binary cross-entropy refuses what is not a number."""
    good, bad = (RunInTraining(tiny("vae", seed=seed), CPU) for seed in range(2))
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("nan"))
    failures = train_all(sample.train.images, good, bad)
    assert list(failures) == [bad]
    assert isinstance(failures[bad], NonFiniteLossError)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception, int], TrainingSpec]:
    """Makes a method whose loss raises an error for seed 1, from some call on."""

    def make(error: Exception, calls: int) -> TrainingSpec:
        counted = {"calls": 0}

        def loss(
            model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
        ) -> torch.Tensor:
            counted["calls"] += spec.seed == 1
            if spec.seed == 1 and counted["calls"] > calls:
                raise error
            return (model(images) - images).square().mean()

        monkeypatch.setitem(methods.REGISTERED_METHODS, "faulty", Method("faulty", "", loss))
        return tiny("faulty")

    return make


def test_whatever_a_method_raises_the_others_go_on(
    sample: LoadedData, faulty: Callable[[Exception, int], TrainingSpec]
) -> None:
    spec = faulty(ValueError("a mistake"), 2)
    group = [RunInTraining(replace(spec, seed=seed), CPU) for seed in range(3)]
    failures = train_all(sample.train.images, *group)
    assert {run.spec.seed: str(error) for run, error in failures.items()} == {1: "a mistake"}
    assert [run.step for run in group] == [12, 2, 12]


def test_a_failing_gpu_fails_no_run(
    sample: LoadedData, faulty: Callable[[Exception, int], TrainingSpec]
) -> None:
    spec = faulty(RuntimeError("CUDA error: unspecified launch failure"), 0)
    with pytest.raises(BenchError, match=r"the GPU failed while training .* are kept"):
        train_all(sample.train.images, RunInTraining(replace(spec, seed=1), CPU))


def test_runs_that_train_in_turns_stop_when_all_have_a_checkpoint(sample: LoadedData) -> None:
    diary = Diary()
    group = [RunInTraining(replace(tiny("rrae"), seed=seed), CPU) for seed in range(3)]
    assert train_all(sample.train.images, *group, diary=diary, is_over=lambda: True) == {}
    assert [run.step for run in group] == [4, 4, 4]
    assert len(diary.states) == 3


def test_a_run_that_waits_off_the_grid_of_checkpoints_loses_nothing(sample: LoadedData) -> None:
    """A run that goes on from a shorter one waits at the end of that one, and is kept there."""
    ahead = RunInTraining(TINY, CPU)
    for _ in range(6):
        ahead.advance(sample.train.images[: TINY.train_images])
    behind = RunInTraining(replace(TINY, seed=1), CPU)
    train_all(sample.train.images, ahead, behind, is_over=lambda: True)
    assert (ahead.step, behind.step) == (6, 4)


def test_in_bf16_gradients_of_what_is_computed_in_fp32_are_in_fp32(sample: LoadedData) -> None:
    """RRAE and LoRAE take singular values of codes; their gradients have matrix products."""
    run = RunInTraining(replace(TINY, precision="bf16"), CPU)
    layer = torch.nn.Parameter(torch.randn(8, 8))

    def loss(*_: object) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return truncated(layer, 2).pow(3).sum()

    run.method = replace(run.method, loss=loss)
    with arithmetic("bf16", CPU):
        run.take_step(sample.train.images, torch.arange(4))
    (expected,) = torch.autograd.grad(truncated(layer, 2).pow(3).sum(), layer)
    assert layer.grad is not None
    assert torch.equal(layer.grad, expected)
