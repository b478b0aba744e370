from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.images import LoadedData
from bench.models.networks import build
from bench.training.run_in_training import RunInTraining, batch_order, initial_model, to_device
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


def test_images_stay_where_they_are_when_the_device_has_no_room(sample: LoadedData) -> None:
    images = sample.train.images
    assert to_device(images, CPU, free_bytes=2 * images.nbytes) is not images
    assert to_device(images, CPU, free_bytes=2 * images.nbytes - 1) is images


def test_mapped_images_train_as_those_in_memory_do(sample: LoadedData, tmp_path: Path) -> None:
    """Prepared images are mapped into memory, pixels last, and are not copied to train on."""
    pixels = sample.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    np.save(tmp_path / "images.npy", pixels)
    mapped = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    placed = to_device(mapped, CPU)
    assert placed.data_ptr() == mapped.data_ptr()
    ours, reference = RunInTraining(TINY, CPU), RunInTraining(TINY, CPU)
    train_all(placed, ours)
    train_all(sample.train.images, reference)
    assert torch.equal(weights(ours), weights(reference))


def test_a_model_is_all_that_its_spec_says() -> None:
    for spec in (
        tiny("irmae", init_scale=4.0, seed=3, width=0.5),
        tiny("rae", dataset="shape-64", architecture="rae", width=1 / 64),
    ):
        expected = build(
            {"shape-64": "celeba"}.get(spec.dataset, "mnist"),
            latent_dim=spec.latent_dim,
            depth=spec.depth,
            init_scale=spec.init_scale,
            architecture=spec.architecture,
            width=spec.width,
            seed=spec.seed,
        ).state_dict()
        found = initial_model(spec).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_noise_depends_on_seed_and_step_alone() -> None:
    def drawn(seed: int, step: int, method: str = "vae") -> torch.Tensor:
        run = RunInTraining(tiny(method, seed=seed), CPU)
        run.step = step
        run.next_batch(CPU)
        return torch.randn(4, generator=run.noise)

    assert torch.equal(drawn(0, 5), drawn(0, 5, "wae-mmd"))
    assert not torch.equal(drawn(0, 5), drawn(1, 5))
    assert not torch.equal(drawn(0, 5), drawn(0, 6))


def test_what_a_method_fits_is_fitted_to_the_training_images(sample: LoadedData) -> None:
    run = RunInTraining(tiny("pca", epochs=1), CPU)
    train_all(sample.train.images, run)
    mean = (sample.train.images / 255).mean(dim=0).flatten()
    torch.testing.assert_close(run.model.state_dict()["encoder.directions.mean"], mean)
