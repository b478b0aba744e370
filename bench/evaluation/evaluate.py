"""Measure a trained model: reconstruction error, latent spectrum and rank, Fréchet distances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.images import LoadedData, Split, spread, to_float
from bench.evaluation.decoded import as_bytes, pictures
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import fit, frechet_distance
from bench.evaluation.reference import Reference, compare, reference
from bench.evaluation.samplers import Prior, Sampler, fit_sampler
from bench.evaluation.spectrum import spectrum
from bench.experiments.spec import (
    FITTED,
    HEADLINE_SAMPLER,
    PRIOR,
    MeasurementSpec,
    TrainingSpec,
)
from bench.hashing import derive_seed
from bench.models.methods import method
from bench.models.networks import Autoencoder
from bench.models.precision import arithmetic

_BATCH = 250
# Samples of the headline sampler and test images that are kept with the record, for t-SNE and for
# the eye.
KEPT_IMAGES = 500


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        metrics: numbers by name: ``train_mse``, ``test_mse`` (mean over pixels, of images in
            [0, 1]), ``mean_image_mse`` (the test error of the mean training image), ``spectrum``
            (latent_dim numbers: singular values of the test codes' covariance, largest first),
            ``spectrum_sampled`` (a VAE's, of codes with their noise), ``fid`` by what was compared
            with the test images: ``real`` training images (the floor), ``reconstruction`` or a
            sampler; ``neighbours`` likewise, see
            :func:`bench.evaluation.two_sample.nearest_neighbours`; and ``log_likelihood`` of
            training and test codes by each sampler, see
            :meth:`bench.evaluation.samplers.Sampler.score`.
        images: uint8 (n, channels, size, size): ``samples`` (500), ``originals``, as many test
            images or all; and those of :func:`bench.evaluation.decoded.pictures`, which are of
            the first originals.
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
        data: both splits whole; the specs say how many of their images are taken.
        extractor: looks at the images for every Fréchet distance.
        cache: folder for what is known of the test images.
    """
    device = next(model.parameters()).device
    trained_on, test = data.train.spread(training.train_images), data.test.spread(spec.test_images)
    real = data.train.spread(min(spec.fid_samples, len(data.train.images)))
    with torch.no_grad(), arithmetic("fp32", device):
        known = reference(training.dataset, test, real, extractor, cache)
        return _measured(
            model, training, spec, splits=(trained_on, test), known=known, extractor=extractor
        )


def _measured(
    model: Autoencoder,
    training: TrainingSpec,
    spec: MeasurementSpec,
    *,
    splits: tuple[Split, Split],
    known: Reference,
    extractor: Extractor,
) -> Evaluation:
    device, (trained_on, test) = next(model.parameters()).device, splits

    def decoded(codes: np.ndarray) -> Iterator[torch.Tensor]:
        for part in torch.from_numpy(codes).split(_BATCH):
            yield model.decoder(part.to(device))

    def seen(codes: np.ndarray) -> torch.Tensor:
        return torch.cat(list(extractor.features(decoded(codes))))

    train_codes, train_mse = _reconstruct(model, trained_on, device)
    test_codes, test_mse = _reconstruct(model, test, device)
    samplers = _samplers(training, train_codes, device)
    drawn = {
        name: sampler.sample(
            max(spec.fid_samples, KEPT_IMAGES), derive_seed("samples", training.seed) % 2**32
        )
        for name, sampler in samplers.items()
    }
    fid = {"real": known.floor}
    neighbours = {"real": known.neighbours}
    for name, codes in {"reconstruction": test_codes, **drawn}.items():
        features = seen(codes if name == "reconstruction" else codes[: spec.fid_samples])
        fid[name] = frechet_distance(fit([features]), known.gaussian)
        if name in samplers:
            neighbours[name] = compare(known.features, features)
    metrics = {
        "train_mse": train_mse,
        "test_mse": test_mse,
        "mean_image_mse": _mean_image_error(trained_on, test),
        "spectrum": spectrum(test_codes).tolist(),
        "fid": fid,
        "neighbours": neighbours,
        "log_likelihood": {
            name: {"train": sampler.score(train_codes), "held_out": sampler.score(test_codes)}
            for name, sampler in samplers.items()
        },
    }
    if model.doubled:
        metrics["spectrum_sampled"] = _sampled_spectrum(model, test, training, device)
    kept = spread(len(test_codes), min(KEPT_IMAGES, len(test_codes)))
    return Evaluation(
        metrics=metrics,
        images={
            "originals": test.images[kept].numpy(),
            "samples": as_bytes(torch.cat(list(decoded(drawn[HEADLINE_SAMPLER][:KEPT_IMAGES])))),
            **pictures(model, test_codes[kept.numpy()]),
        },
    )


def _samplers(
    training: TrainingSpec, codes: np.ndarray, device: torch.device
) -> dict[str, Sampler | Prior]:
    """Those that are fitted to training codes, and the method's own prior where it has one."""
    samplers: dict[str, Sampler | Prior] = {
        name: fit_sampler(name, codes, derive_seed(name, training.seed) % 2**32, device)
        for name in FITTED
    }
    if method(training.method).has_prior:
        samplers[PRIOR] = Prior(training.latent_dim)
    return samplers


def _batches(split: Split, device: torch.device) -> Iterator[torch.Tensor]:
    for part in split.images.split(_BATCH):
        yield to_float(part.to(device))


def _reconstruct(
    model: Autoencoder, split: Split, device: torch.device
) -> tuple[np.ndarray, float]:
    """Codes (n, latent_dim) of images, and the mean squared error of their reconstructions."""
    codes, errors, values = [], 0.0, 0
    for images in _batches(split, device):
        code = model.codes(images)
        errors += (model.decoder(code) - images).double().square().sum().item()
        values += images.numel()
        codes.append(code.float().cpu().numpy())
    return np.concatenate(codes), errors / values


def _mean_image_error(train: Split, test: Split) -> float:
    """Mean squared error of the mean training image: what a model that learns nothing reaches."""
    total = sum(part.double().sum(dim=0) for part in train.images.split(_BATCH))
    mean = torch.as_tensor(total) / len(train.images)
    errors = sum((part.double() - mean).square().sum().item() for part in test.images.split(_BATCH))
    return errors / test.images.numel() / 255**2


def _sampled_spectrum(
    model: Autoencoder, test: Split, training: TrainingSpec, device: torch.device
) -> list[float]:
    """Spectrum of codes that are drawn from the encoder's Gaussians, as IRMAE's authors take it."""
    noise = torch.Generator(device).manual_seed(derive_seed("codes", training.seed))
    codes = []
    for images in _batches(test, device):
        mean, log_variance = model.encoder(images).chunk(2, dim=1)
        epsilon = torch.randn(mean.shape, generator=noise, device=device)
        codes.append((mean + epsilon * torch.exp(0.5 * log_variance)).float().cpu().numpy())
    return spectrum(np.concatenate(codes)).tolist()
