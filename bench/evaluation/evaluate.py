"""Measure a trained model: reconstruction error, latent spectrum and rank, Fréchet distances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.images import LoadedData, spread, to_float
from bench.evaluation.decoded import as_bytes, pictures
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import Gaussian, frechet_distance
from bench.evaluation.overlap import overlap
from bench.evaluation.samplers import fit_sampler
from bench.evaluation.spectrum import spectrum
from bench.experiments.spec import HEADLINE_SAMPLER, SAMPLERS, MeasurementSpec, TrainingSpec
from bench.hashing import derive_seed
from bench.models.networks import Autoencoder
from bench.models.precision import arithmetic
from bench.models.tensors import load_tensors, save_tensors

_BATCH = 250
# Samples of the headline sampler and test images that are kept with the record, for t-SNE and for
# the eye; their overlap is measured.
KEPT_IMAGES = 500
# However few are asked for; another number would be another draw.
_LEAST_DRAWN = 1_000


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        metrics: numbers by name: ``train_mse``, ``test_mse`` (mean over pixels, of images in
            [0, 1]), ``rank`` (threshold 1e-3), ``ranks`` by threshold, ``fid`` by what was
            compared with the test images: ``reconstruction`` or a sampler, and ``overlap`` of
            samples and test images, see :func:`bench.evaluation.overlap.overlap`.
        arrays: ``spectrum`` (latent_dim,) float64; ``samples`` (500, channels,
            size, size) uint8; ``originals``, as many test images or all; and the images of
            :func:`bench.evaluation.decoded.pictures`, which are of the first originals.
    """

    metrics: dict[str, Any]
    images: dict[str, np.ndarray]


def evaluate(
    model: Autoencoder,
    training: TrainingSpec,
    spec: MeasurementSpec,
    data: LoadedData,
    *,
    extractor: Extractor,
    cache: Path,
) -> Evaluation:
    """Measure a model by the protocol of docs/decisions.md, in fp32.

    Args:
        model: trained, on the device where it is to be measured.
        training: how it was trained; names the training images and the seed.
        spec: what is measured.
        data: the images that the specs name: ``train_images`` and ``test_images`` of them.
        extractor: looks at the images for every Fréchet distance.
        cache: folder for the test images' statistics.
    """
    device = next(model.parameters()).device
    with torch.no_grad(), arithmetic("fp32", device):
        return _measured(model, training, spec, data, extractor=extractor, cache=cache)


def _measured(
    model: Autoencoder,
    training: TrainingSpec,
    spec: MeasurementSpec,
    data: LoadedData,
    *,
    extractor: Extractor,
    cache: Path,
) -> Evaluation:
    device = next(model.parameters()).device

    def batches(images: torch.Tensor) -> Iterator[torch.Tensor]:
        for part in images.split(_BATCH):
            yield to_float(part.to(device))

    def decoded(codes: np.ndarray) -> Iterator[torch.Tensor]:
        for part in torch.from_numpy(codes).split(_BATCH):
            yield model.decoder(part.to(device))

    train_codes, train_mse = _reconstruct(model, batches(data.train.images))
    test_codes, test_mse = _reconstruct(model, batches(data.test.images))
    values = spectrum(test_codes)

    reference = _reference(training.dataset, data, extractor, cache)
    compared = {"reconstruction": test_codes}
    drawn = max(spec.fid_samples, _LEAST_DRAWN)
    for name in SAMPLERS:
        seed = derive_seed(name, training.seed) % 2**32
        sampler = fit_sampler(name, train_codes, seed, device)
        codes = sampler.sample(drawn, derive_seed("samples", training.seed) % 2**32)
        compared[name] = codes[: spec.fid_samples]
        if name == HEADLINE_SAMPLER:
            samples = as_bytes(torch.cat(list(decoded(codes[:KEPT_IMAGES]))))
    fid = {
        name: frechet_distance(extractor.gaussian(decoded(codes)), reference)
        for name, codes in compared.items()
    }
    kept = spread(len(test_codes), min(KEPT_IMAGES, len(test_codes)))
    originals = data.test.images[kept].numpy()
    clouds = (images[: len(kept)].reshape(len(kept), -1) for images in (originals, samples))
    return Evaluation(
        metrics={
            "train_mse": train_mse,
            "test_mse": test_mse,
            "spectrum": values.tolist(),
            "fid": fid,
            "overlap": overlap(*clouds),
        },
        images={
            "originals": originals,
            "samples": samples,
            **pictures(model, test_codes[kept.numpy()]),
        },
    )


def _reconstruct(model: Autoencoder, batches: Iterator[torch.Tensor]) -> tuple[np.ndarray, float]:
    """Codes (n, latent_dim) of images, and the mean squared error of their reconstructions."""
    codes, errors, values = [], 0.0, 0
    for images in batches:
        code = model.codes(images)
        errors += (model.decoder(code) - images).double().square().sum().item()
        values += images.numel()
        codes.append(code.float().cpu().numpy())
    return np.concatenate(codes), errors / values


def _reference(name: str, data: LoadedData, extractor: Extractor, cache: Path) -> Gaussian:
    """Statistics of the test images' features, cached by content and extractor."""
    key = f"{extractor.name}-{extractor.checksum[:16]}-{data.test.checksum[:16]}"
    path = cache / f"reference-{name}-{key}.pt"
    saved = load_tensors(path)
    if saved is not None:
        return Gaussian(saved["mean"].numpy(), saved["covariance"].numpy())
    images = (to_float(part) for part in data.test.images.split(_BATCH))
    gaussian = extractor.gaussian(images)
    save_tensors(
        path,
        {
            "mean": torch.from_numpy(gaussian.mean),
            "covariance": torch.from_numpy(gaussian.covariance),
        },
    )
    return gaussian
