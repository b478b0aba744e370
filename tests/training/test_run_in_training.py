from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from bench.data.images import LoadedData
from bench.training.run_in_training import RunInTraining, batch_order, to_device
from tests.support.diary import train_all, weights
from tests.support.tiny import TINY, tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("method", "precision"), [("irmae", "fp32"), ("rae-sn", "fp32"), ("irmae", "bf16")]
)
def test_every_epoch_ends_with_the_spectrum_of_the_test_codes(
    sample: LoadedData, method: str, precision: str
) -> None:
    """In fp32, whatever it is trained in."""
    spec = tiny(method, train_images=50, precision=precision)
    run = RunInTraining(spec, CPU)
    train_all(sample.train.images, run)
    assert len(run.spectra) == spec.epochs
    with torch.no_grad():
        codes = run.model.eval().codes(sample.train.images[:40] / 255)
    expected = np.linalg.svd(np.cov(codes.double().numpy().T))[1]
    np.testing.assert_allclose(run.spectra[-1], expected, rtol=1e-3, atol=1e-9)
    assert not np.allclose(run.spectra[0], run.spectra[1], rtol=1e-3)


def test_taking_spectra_changes_no_weight(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spectral norm takes a power iteration with every step, and must not take others."""
    spec = tiny("rae-sn")
    with_spectra, without = RunInTraining(spec, CPU), RunInTraining(spec, CPU)
    train_all(sample.train.images, with_spectra)
    monkeypatch.setattr(RunInTraining, "record_spectrum", lambda self, images, training: None)
    train_all(sample.train.images, without)
    assert torch.equal(weights(with_spectra), weights(without))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = batch_order(TINY, 0)
    assert sorted(first.tolist()) == list(range(64))
    assert torch.equal(first, batch_order(replace(TINY, depth=8, learning_rate=1.0), 0))
    assert not torch.equal(first, batch_order(TINY, 1))
    assert not torch.equal(first, batch_order(replace(TINY, seed=1), 0))
    assert torch.equal(batch_order(replace(TINY, shuffle=False), 7), torch.arange(64))


@pytest.mark.parametrize("lacking", [0, 1])
def test_images_stay_where_they_are_when_a_gpu_has_no_room(
    monkeypatch: pytest.MonkeyPatch, lacking: int
) -> None:
    images = mock.Mock(nbytes=1_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2_000 - lacking, 4_000))
    assert (to_device(images, torch.device("cuda")) is images) == bool(lacking)


def test_mapped_images_train_as_those_in_memory_do(sample: LoadedData, tmp_path: Path) -> None:
    """Prepared images are mapped into memory, pixels last, and are not copied to train on."""
    pixels = sample.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    path = tmp_path / "train.bin"
    path.write_bytes(pixels.tobytes())
    bytes_ = torch.from_file(str(path), size=pixels.size, dtype=torch.uint8)
    mapped = bytes_.view(pixels.shape).permute(0, 3, 1, 2)
    placed = to_device(mapped, CPU)
    assert placed.data_ptr() == mapped.data_ptr()
    ours, reference = RunInTraining(TINY, CPU), RunInTraining(TINY, CPU)
    train_all(placed, ours)
    train_all(sample.train.images, reference)
    assert torch.equal(weights(ours), weights(reference))


def test_noise_depends_on_seed_and_step_alone() -> None:
    def drawn(seed: int, step: int, method: str = "vae") -> torch.Tensor:
        run = RunInTraining(tiny(method, seed=seed), CPU)
        run.step = step
        run.next_batch(CPU)
        return torch.randn(4, generator=run.noise)

    assert torch.equal(drawn(0, 5), drawn(0, 5, "wae-mmd"))
    assert not torch.equal(drawn(0, 5), drawn(1, 5))
    assert not torch.equal(drawn(0, 5), drawn(0, 6))
