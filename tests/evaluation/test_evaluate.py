from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.images import LoadedData
from bench.evaluation.evaluate import evaluate
from bench.evaluation.spectrum import rank
from bench.experiments.spec import FITTED
from bench.models.networks import Autoencoder, build
from bench.models.precision import arithmetic
from bench.training.run_in_training import initial_model
from tests.support.measuring import PIXELS, measured, pytorch_fid
from tests.support.tiny import TINY, TINY_MEASUREMENT, tiny


@pytest.fixture
def data(sample: LoadedData) -> LoadedData:
    return LoadedData(sample.train.spread(64), sample.test.spread(32), "")


@pytest.fixture
def model() -> Autoencoder:
    return build("mnist", latent_dim=8, depth=2, seed=1)


def test_evaluation_against_plain_numpy(
    tmp_path: Path, data: LoadedData, model: Autoencoder
) -> None:
    result, again = (
        measured(model, TINY, data, extractor=PIXELS, cache=tmp_path) for _ in range(2)
    )
    assert result.metrics == again.metrics

    with torch.no_grad():
        images = data.test.images.float() / 255
        output = model(images)
        codes = model.codes(images)
    assert result.metrics["test_mse"] == pytest.approx(((output - images) ** 2).mean().item())
    values = np.linalg.svd(np.cov(codes.double().numpy().T))[1]
    np.testing.assert_allclose(result.metrics["spectrum"], values, rtol=1e-4, atol=1e-12)
    assert rank(result.metrics["spectrum"]) == rank(values)
    expected = pytorch_fid(output.clamp(0, 1), images)
    assert result.metrics["fid"]["reconstruction"] == pytest.approx(expected, rel=1e-4)
    assert set(result.metrics["fid"]) == {"reconstruction", "real", *FITTED}
    assert result.images["samples"].shape == (500, 1, 32, 32)
    assert result.images["samples"].dtype == np.uint8
    assert np.array_equal(result.images["originals"], data.test.images.numpy())
    shown = np.round(output.clamp(0, 1).numpy() * 255)
    # They were decoded in another batch, and so may be rounded otherwise.
    assert np.abs(result.images["reconstructions"] - shown[:10]).max() <= 1
    assert set(result.metrics["neighbours"]) == {"real", *FITTED}
    mean = data.train.images.double().mean(dim=0)
    error = ((data.test.images.double() - mean) ** 2).mean().item() / 255**2
    assert result.metrics["mean_image_mse"] == pytest.approx(error)
    for scores in result.metrics["log_likelihood"].values():
        assert set(scores) == {"train", "held_out"}


@pytest.mark.parametrize(("name", "has_prior"), [("vae", True), ("wae-mmd", True), ("rae", False)])
def test_methods_with_a_prior_are_sampled_from_it(
    tmp_path: Path, data: LoadedData, name: str, has_prior: bool
) -> None:
    model = initial_model(tiny(name)).eval()
    metrics = measured(model, tiny(name), data, extractor=PIXELS, cache=tmp_path).metrics
    for kind in ("fid", "neighbours", "log_likelihood", "kid", "coverage", "copied"):
        assert ("prior" in metrics[kind]) == has_prior
    # A VAE's codes are means, or are drawn: both spectra are kept.
    assert ("spectrum_sampled" in metrics) == (name == "vae")
    if name == "vae":
        assert sum(metrics["spectrum_sampled"]) > sum(metrics["spectrum"])


def test_evaluation_is_in_fp32_whatever_pytorch_would_do(
    tmp_path: Path, data: LoadedData, model: Autoencoder
) -> None:
    seen: set[bool] = set()

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.update(_in_tf32())
        return PIXELS.network(images)

    with arithmetic("tf32", torch.device("cuda")):
        measured(model, TINY, data, extractor=replace(PIXELS, network=network), cache=tmp_path)
        assert _in_tf32() == {True}
    assert seen == {False}


def _in_tf32() -> set[bool]:
    """Whether products of matrices, and convolutions, may be in tf32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    conv = getattr(cudnn, "conv", None)
    if conv is not None and hasattr(conv, "fp32_precision"):
        return {owner.fp32_precision == "tf32" for owner in (matmul, conv)}
    return {owner.allow_tf32 for owner in (matmul, cudnn)}


def test_kept_images_are_spread_over_the_test_images(
    sample: LoadedData, model: Autoencoder
) -> None:
    """A user's own data may be sorted by class."""
    whole = replace(TINY_MEASUREMENT, test_images=512)
    kept = evaluate(model, TINY, whole, sample).images["originals"]
    assert len(kept) == 500
    assert np.array_equal(kept[-1], sample.test.images[-1].numpy())
