"""Measure a trained model: reconstruction error, latent spectrum and rank, Fréchet distances.

Codes, samplers and samples are the same whichever extractor looks at the images, and taken once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from bench.experiments.spec import FITTED, HEADLINE_SAMPLER, PRIOR, MeasurementSpec, TrainingSpec
from bench.hashing import derive_seed
from bench.models.methods import method
from bench.models.networks import Autoencoder
from bench.models.precision import arithmetic

_BATCH = 250
# Samples of the headline sampler and test images that are kept with the record, for t-SNE and for
# the eye.
KEPT_IMAGES = 500
# Beside the samplers' names: decoded codes of the test images.
RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a model that no extractor is needed for.

    Attributes:
        metrics: numbers by name: ``train_mse``, ``test_mse`` (mean over pixels, of images in
            [0, 1]), ``mean_image_mse`` (the test error of the mean training image), ``spectrum``
            (latent_dim numbers: singular values of the test codes' covariance, largest first),
            ``spectrum_sampled`` (a VAE's, of codes with their noise), and ``log_likelihood`` of
            training and test codes by each sampler, see
            :meth:`bench.evaluation.samplers.Sampler.score`.
        codes: float32 (n, latent_dim) by what an extractor is to look at once they are decoded:
            ``reconstruction``, of the test images, and samples by their sampler.
        images: uint8 (n, channels, size, size): ``samples`` (500), ``originals``, as many test
            images or all; and those of :func:`bench.evaluation.decoded.pictures`, which are of
            the first originals.
    """

    metrics: dict[str, Any]
    codes: dict[str, np.ndarray]
    images: dict[str, np.ndarray]


def evaluate(
    model: Autoencoder, training: TrainingSpec, spec: MeasurementSpec, data: LoadedData
) -> Evaluation:
    """Measure what no extractor is needed for, by the protocol of docs/decisions.md, in fp32.

    Args:
        model: trained, on the device where it is to be measured.
        training: how it was trained; names the training images and the seed.
        spec: how much is measured.
        data: both splits whole; the specs say how many of their images are taken.
    """
    device = next(model.parameters()).device
    splits = data.train.spread(training.train_images), data.test.spread(spec.test_images)
    with torch.no_grad(), arithmetic("fp32", device):
        return _evaluated(model, training, spec, *splits)


def look(
    model: Autoencoder, codes: Mapping[str, np.ndarray], known: Reference, extractor: Extractor
) -> dict[str, Any]:
    """Compare decoded codes with test images, as an extractor sees both.

    Args:
        model: decodes them.
        codes: see :class:`Evaluation`.
        known: what the extractor has seen of real images.
        extractor: looks at the images.

    Returns:
        ``fid`` by what was compared with the test images: ``real`` training images,
        ``reconstruction`` or a sampler; and ``neighbours`` likewise, see
        :func:`bench.evaluation.two_sample.nearest_neighbours`.
    """
    fid = {"real": known.floor}
    neighbours = {"real": known.neighbours}
    with torch.no_grad(), arithmetic("fp32", extractor.device):
        for name, each in codes.items():
            features = torch.cat(list(extractor.features(_decoded(model, each))))
            fid[name] = frechet_distance(fit([features]), known.gaussian)
            if name != RECONSTRUCTION:
                neighbours[name] = compare(known.features, features)
    return {"fid": fid, "neighbours": neighbours}


def real_images(
    name: str, data: LoadedData, spec: MeasurementSpec, extractor: Extractor, cache: Path
) -> Reference:
    """What an extractor sees of the real images that a measurement compares with.

    Args:
        name: of the data set, for people.
        data: both splits whole.
        spec: how many of their images are taken.
        extractor: looks at them.
        cache: folder where it is kept.
    """
    real = data.train.spread(min(spec.fid_samples, len(data.train.images)))
    with torch.no_grad(), arithmetic("fp32", extractor.device):
        return reference(name, data.test.spread(spec.test_images), real, extractor, cache)


def _decoded(model: Autoencoder, codes: np.ndarray) -> Iterator[torch.Tensor]:
    device = next(model.parameters()).device
    for part in torch.from_numpy(codes).split(_BATCH):
        yield model.decoder(part.to(device))


def _evaluated(
    model: Autoencoder,
    training: TrainingSpec,
    spec: MeasurementSpec,
    trained_on: Split,
    test: Split,
) -> Evaluation:
    device = next(model.parameters()).device
    train_codes, train_mse = _reconstruct(model, trained_on, device)
    test_codes, test_mse = _reconstruct(model, test, device)
    samplers = _samplers(training, train_codes, device)
    drawn = {
        name: sampler.sample(
            max(spec.fid_samples, KEPT_IMAGES), derive_seed("samples", training.seed) % 2**32
        )
        for name, sampler in samplers.items()
    }
    metrics: dict[str, Any] = {
        "train_mse": train_mse,
        "test_mse": test_mse,
        "mean_image_mse": _mean_image_error(trained_on, test),
        "spectrum": spectrum(test_codes).tolist(),
        "log_likelihood": {
            name: {"train": sampler.score(train_codes), "held_out": sampler.score(test_codes)}
            for name, sampler in samplers.items()
        },
    }
    if model.doubled:
        metrics["spectrum_sampled"] = _sampled_spectrum(model, test, training, device)
    kept = spread(len(test_codes), min(KEPT_IMAGES, len(test_codes)))
    samples = _decoded(model, drawn[HEADLINE_SAMPLER][:KEPT_IMAGES])
    return Evaluation(
        metrics=metrics,
        codes={
            RECONSTRUCTION: test_codes,
            **{name: codes[: spec.fid_samples] for name, codes in drawn.items()},
        },
        images={
            "originals": test.images[kept].numpy(),
            "samples": as_bytes(torch.cat(list(samples))),
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
