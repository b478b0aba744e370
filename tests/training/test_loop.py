from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.images import LoadedData
from bench.errors import UsageError
from bench.training import loop
from bench.training.trainee import Trainee, batch_order, place
from tests.support.diary import Diary, train_all
from tests.support.tiny import PARAMETERS, TINY

CPU = torch.device("cpu")
STEPS = 3 * 4


@pytest.fixture(autouse=True)
def frequent_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_STEPS", 2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _weights(trainee: Trainee) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainee.model.parameters()])


@pytest.mark.parametrize("method", ["irmae", "ae", *PARAMETERS])
def test_a_resumed_run_ends_bit_identical(sample: LoadedData, method: str) -> None:
    depth = 2 if method == "irmae" else 0
    spec = replace(TINY, method=method, depth=depth, parameters=PARAMETERS.get(method, ()))
    diary = Diary()
    whole = Trainee(spec, CPU)
    assert train_all(sample.train.images, whole, diary=diary) == {}
    assert [step for _, step in diary.states] == [4, 8, STEPS]
    for step in (4, 8):
        rest = Diary()
        resumed = Trainee(spec, CPU)
        resumed.load_state_dict(diary.states[spec, step])
        train_all(sample.train.images, resumed, diary=rest)
        assert torch.equal(_weights(resumed), _weights(whole))
        losses = [(line.step, line.loss) for line in diary.lines[spec] if line.step > step]
        assert [(line.step, line.loss) for line in rest.lines[spec]] == losses
        assert np.array_equal(resumed.spectra, whole.spectra)


@pytest.mark.parametrize("method", ["irmae", "rae-sn"])
def test_every_epoch_ends_with_the_spectrum_of_the_test_codes(
    sample: LoadedData, method: str
) -> None:
    depth = 2 if method == "irmae" else 0
    parameters = PARAMETERS.get(method, ())
    spec = replace(TINY, method=method, depth=depth, parameters=parameters, train_images=50)
    trainee = Trainee(spec, CPU)
    train_all(sample.train.images, trainee)
    assert len(trainee.spectra) == spec.epochs
    with torch.no_grad():
        codes = trainee.model.eval().codes(sample.train.images[:40] / 255)
    expected = np.linalg.svd(np.cov(codes.double().numpy().T))[1]
    np.testing.assert_allclose(trainee.spectra[-1], expected, rtol=1e-3, atol=1e-9)
    assert not np.allclose(trainee.spectra[0], trainee.spectra[1], rtol=1e-3)


def test_taking_spectra_changes_no_weight(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spectral norms go on with every step in training, and must not on other occasions."""
    spec = replace(TINY, method="rae-sn", depth=0, parameters=PARAMETERS["rae-sn"])
    with_spectra, without = Trainee(spec, CPU), Trainee(spec, CPU)
    train_all(sample.train.images, with_spectra)
    monkeypatch.setattr(Trainee, "record_spectrum", lambda self, images: None)
    train_all(sample.train.images, without)
    assert torch.equal(_weights(with_spectra), _weights(without))


def test_no_checkpoint_holds_a_diverged_state(sample: LoadedData) -> None:
    diary = Diary()
    bad = Trainee(TINY, CPU)
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("inf"))
    train_all(sample.train.images, bad, diary=diary)
    assert diary.states == {}


def test_a_step_is_adams(sample: LoadedData) -> None:
    """Against PyTorch's plain Adam and autograd, step by step."""
    spec = replace(TINY, epochs=1)
    trainee = Trainee(spec, CPU)
    model = copy.deepcopy(trainee.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=False)
    diary = Diary()
    train_all(sample.train.images, trainee, diary=diary)
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
    for ours, theirs in zip(trainee.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss(sample: LoadedData) -> None:
    diary = Diary()
    spec = replace(TINY, epochs=6, learning_rate=1e-3, train_images=256)
    train_all(sample.train.images, Trainee(spec, CPU), diary=diary)
    losses = diary.losses(spec)
    assert losses[-1] < losses[0] / 2


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = batch_order(TINY, 0)
    assert sorted(first.tolist()) == list(range(64))
    assert torch.equal(first, batch_order(replace(TINY, depth=8, learning_rate=1.0), 0))
    assert not torch.equal(first, batch_order(TINY, 1))
    assert not torch.equal(first, batch_order(replace(TINY, seed=1), 0))
    assert torch.equal(batch_order(replace(TINY, shuffle=False), 7), torch.arange(64))


def test_an_incomplete_last_batch_is_trained_on(sample: LoadedData) -> None:
    spec = replace(TINY, train_images=50, epochs=1)
    assert spec.steps == 4
    trainee = Trainee(spec, CPU)
    sizes = []
    encoder = trainee.model.encoder
    encoder.register_forward_hook(
        lambda module, inputs, output: sizes.append(len(output)) if module.training else None
    )
    train_all(sample.train.images, trainee)
    assert sizes == [16, 16, 16, 2]


def test_bf16_trains_and_leaves_weights_in_fp32(sample: LoadedData) -> None:
    short = replace(TINY, epochs=1)
    half, full = Trainee(replace(short, precision="bf16"), CPU), Trainee(short, CPU)
    assert train_all(sample.train.images, half) == {}
    train_all(sample.train.images, full)
    assert _weights(half).dtype == torch.float32
    assert not torch.equal(_weights(half), _weights(full))
    torch.testing.assert_close(_weights(half), _weights(full), rtol=0.1, atol=5e-3)


def test_bf16_learns_as_fp32_does(sample: LoadedData) -> None:
    full, half = (
        Trainee(replace(TINY, learning_rate=1e-3, epochs=5, precision=precision), CPU)
        for precision in ("fp32", "bf16")
    )
    diary = Diary()
    for trainee in (full, half):
        assert train_all(sample.train.images, trainee, diary=diary) == {}
    losses = diary.losses(full.spec)
    assert losses[-1] < 0.8 * losses[0]
    assert diary.losses(half.spec) == pytest.approx(losses, rel=0.02)


def test_precisions_are_refused_where_they_cannot_be_had(sample: LoadedData) -> None:
    with pytest.raises(UsageError, match="tf32 needs a GPU"):
        train_all(sample.train.images, Trainee(replace(TINY, precision="tf32"), CPU))
    mixed = [Trainee(TINY, CPU), Trainee(replace(TINY, precision="bf16"), CPU)]
    with pytest.raises(UsageError, match="one precision"):
        train_all(sample.train.images, *mixed)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_gpu_follows_cpu(sample: LoadedData, precision: str) -> None:
    gpu = torch.device("cuda")
    ours, reference = Trainee(replace(TINY, precision=precision), gpu), Trainee(TINY, CPU)
    assert train_all(sample.train.images.to(gpu), ours) == {}
    train_all(sample.train.images, reference)
    torch.testing.assert_close(_weights(ours).cpu(), _weights(reference), rtol=0.1, atol=5e-3)


def test_images_stay_where_they_are_when_the_device_has_no_room(sample: LoadedData) -> None:
    images = sample.train.images
    assert place(images, CPU, free_bytes=2 * images.nbytes) is not images
    assert place(images, CPU, free_bytes=2 * images.nbytes - 1) is images


def test_mapped_images_train_as_those_in_memory_do(sample: LoadedData, tmp_path: Path) -> None:
    """Prepared images are mapped into memory, pixels last, and are not copied to train on."""
    pixels = sample.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    np.save(tmp_path / "images.npy", pixels)
    mapped = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    placed = place(mapped, CPU)
    assert placed.data_ptr() == mapped.data_ptr()
    ours, reference = Trainee(TINY, CPU), Trainee(TINY, CPU)
    train_all(placed, ours)
    train_all(sample.train.images, reference)
    assert torch.equal(_weights(ours), _weights(reference))
