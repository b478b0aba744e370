from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from bench.data import dataset
from bench.data.images import LoadedData, batches, spread
from bench.evaluation import evaluate as evaluating
from bench.evaluation.decoded import as_bytes
from bench.evaluation.evaluate import RECONSTRUCTION, compare_decoded, evaluate
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.kernel_distance import kernel_distance, self_similarity
from bench.evaluation.neighbours import coverage, nearest_neighbours, radii
from bench.evaluation.reference import load_reference
from bench.evaluation.samplers import fit_sampler
from bench.evaluation.spectrum import rank
from bench.experiments.spec import FITTED
from bench.hashing import derive_seed
from bench.models.methods import method
from bench.models.networks import Autoencoder, initial_model
from bench.models.precision import arithmetic
from tests.support.measuring import PIXELS, measured, pytorch_fid
from tests.support.tiny import TINY, TINY_MEASUREMENT, tiny


@pytest.fixture
def data(sample: LoadedData) -> LoadedData:
    return LoadedData(sample.train.spread(64), sample.test.spread(32), "")


@pytest.fixture
def model() -> Autoencoder:
    return initial_model(replace(TINY, seed=1))


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

    for part in (model.encoder, model.decoder):
        part.register_forward_hook(lambda *_: seen.update(_in_tf32()))
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


CPU = torch.device("cpu")


@pytest.fixture
def fitted(sample: LoadedData) -> Autoencoder:
    """A model that knows digits without training: their principal components."""
    model, fit = initial_model(tiny("pca")), method("pca").fit
    assert fit is not None
    with torch.no_grad():
        fit(model, lambda: batches(sample.train.images, CPU), tiny("pca"))
    return model.eval()


def test_each_number_is_of_its_own_images_and_seed(
    sample: LoadedData, fitted: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of parts of both splits, each more than a batch."""
    monkeypatch.setattr(evaluating, "KEPT_IMAGES", 60)
    run = tiny("pca", train_images=600, seed=1)
    spec = replace(TINY_MEASUREMENT, test_images=300)
    found = evaluate(fitted, run, spec, sample)
    parts = sample.train.spread(600).images, sample.test.spread(300).images
    with torch.no_grad():
        errors = [(fitted(each / 255) - each / 255).square().mean().item() for each in parts]
        train, test = (
            torch.cat([fitted.codes(batch) for batch in batches(each, CPU)]).numpy()
            for each in parts
        )
    assert [found.metrics[f"{n}_mse"] for n in ("train", "test")] == pytest.approx(errors)
    assert np.array_equal(found.codes[RECONSTRUCTION], test)
    for name in FITTED:
        sampler = fit_sampler(name, train, derive_seed(name, 1) % 2**32)
        drawn = sampler.sample(60, derive_seed("samples", 1) % 2**32)
        assert np.array_equal(found.codes[name], drawn[:40])
        scores = {"train": sampler.score(train), "held_out": sampler.score(test)}
        assert found.metrics["log_likelihood"][name] == scores
        if name == "gmm10":
            with torch.no_grad():
                shown = as_bytes(fitted.decoder(torch.from_numpy(drawn)))
            assert np.abs(found.images["samples"] - shown.astype(int)).max() <= 1
    kept = test[spread(300, 60).numpy()]
    with torch.no_grad():
        shown = as_bytes(fitted.decoder(torch.from_numpy(kept[:10])))
    assert np.abs(found.images["reconstructions"] - shown.astype(int)).max() <= 1


def test_sampled_codes_have_the_encoders_variances(sample: LoadedData) -> None:
    model = initial_model(tiny("vae")).eval()
    with torch.no_grad():
        list(model.encoder.parameters())[-1][TINY.latent_dim :] = -4.0
        log_variance = model.encoder(sample.test.images / 255).chunk(2, dim=1)[1]
    spec = replace(TINY_MEASUREMENT, test_images=512)
    metrics = evaluate(model, tiny("vae"), spec, sample).metrics
    added = sum(metrics["spectrum_sampled"]) - sum(metrics["spectrum"])
    assert added == pytest.approx(log_variance.exp().mean(dim=0).sum().item(), rel=0.2)


def test_decoded_codes_are_compared_with_test_and_with_training_images(
    sample: LoadedData, tmp_path: Path
) -> None:
    """Codes that are images: training images, and test images in half their brightness."""
    model = mock.Mock(device=CPU, decoder=lambda codes: codes.unflatten(1, (1, 32, 32)))
    extractor = Extractor.load(declared_extractor("classifier", dataset("mnist-sample")), CPU)
    spec = replace(TINY_MEASUREMENT, test_images=200)
    reference = load_reference("mnist-sample", sample, spec, extractor, tmp_path, train_images=600)
    real = sample.test.spread(200).images / 255
    images = {"trained": sample.train.spread(600).images[::4] / 255, "pale": real[:150] / 2}
    codes = {name: each.flatten(1).numpy() for name, each in images.items()}
    found = compare_decoded(model, codes, reference, extractor)
    assert found["copied"]["trained"] == 1
    assert found["copied"]["pale"] < 0.1
    features = extractor.features([real])
    for name, each in images.items():
        ours = extractor.features([each])
        assert found["neighbours"][name] == pytest.approx(nearest_neighbours(features, ours))
        expected = kernel_distance(ours, features, self_similarity(features))
        assert found["kid"][name] == pytest.approx(expected, rel=1e-3)
        assert found["coverage"][name] == coverage(features, radii(features), ours)
    # A test image that copies a training image makes the least ratio 0.
    codes = {"trained": codes["trained"]}
    again = compare_decoded(model, codes, replace(reference, least_ratio=0.0), extractor)
    assert again["copied"] == {"trained": 1}
