"""Measure a trained model: reconstruction error, latent spectrum and rank, Fréchet distances.

Codes, samplers and samples do not depend on the extractor, so they are computed once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.data.images import BATCH, LoadedData, Split, batches, spread
from bench.evaluation.decoded import as_bytes, pictures
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import fit, frechet_distance
from bench.evaluation.kernel_distance import kernel_distance
from bench.evaluation.neighbours import coverage, nearest_neighbours, nearest_ratio
from bench.evaluation.reference import Reference
from bench.evaluation.samplers import Prior, Sampler, fit_sampler
from bench.evaluation.spectrum import spectrum
from bench.experiments.spec import FITTED, HEADLINE_SAMPLER, PRIOR, MeasurementSpec, TrainingSpec
from bench.hashing import derive_seed
from bench.models.methods import method
from bench.models.networks import Autoencoder
from bench.models.precision import arithmetic

# This many samples of the headline sampler, and test images, are kept with the record, to be looked
# at and for t-SNE.
KEPT_IMAGES = 500
# Name of the decoded codes of the test images, beside the samplers' names.
RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True)
class Evaluation:
    """What is measured of a model without an extractor.

    Attributes:
        metrics: numbers by name: ``train_mse``, ``test_mse`` (mean over pixels, of images in
            [0, 1]), ``mean_image_mse`` (the test error of the mean training image), ``spectrum``
            (latent_dim numbers: singular values of the test codes' covariance, largest first),
            ``spectrum_sampled`` (a VAE's, from codes with their noise), and ``log_likelihood`` of
            training and test codes by each sampler, see
            :meth:`bench.evaluation.samplers.Sampler.score`.
        codes: float32 (n, latent_dim) arrays, to be decoded and shown to extractors:
            ``reconstruction`` (the test images' codes), and samples by their sampler's name.
        images: uint8 (n, channels, size, size): ``samples`` (500); ``originals`` (500 test images,
            or all); and what :func:`bench.evaluation.decoded.pictures` makes of the first
            originals.
    """

    metrics: dict[str, Any]
    codes: dict[str, np.ndarray]
    images: dict[str, np.ndarray]


def evaluate(
    model: Autoencoder, training: TrainingSpec, spec: MeasurementSpec, data: LoadedData
) -> Evaluation:
    """Measure what needs no extractor, by the protocol of docs/decisions.md, in fp32.

    The data are both splits whole; the specs say how many of their images are used.
    """
    train, test = data.train.spread(training.train_images), data.test.spread(spec.test_images)
    with torch.no_grad(), arithmetic("fp32", model.device):
        train_codes, train_mse = _reconstruct(model, train)
        test_codes, test_mse = _reconstruct(model, test)
        samplers: dict[str, Sampler | Prior] = {
            name: fit_sampler(name, train_codes, _seed(name, training), model.device)
            for name in FITTED
        }
        if method(training.method).has_prior:
            samplers[PRIOR] = Prior(training.latent_dim)
        count, seed = max(spec.fid_samples, KEPT_IMAGES), _seed("samples", training)
        drawn = {name: sampler.sample(count, seed) for name, sampler in samplers.items()}
        metrics: dict[str, Any] = {
            "train_mse": train_mse,
            "test_mse": test_mse,
            "mean_image_mse": _mean_image_error(train, test),
            "spectrum": spectrum(test_codes).tolist(),
            "log_likelihood": {
                name: {"train": sampler.score(train_codes), "held_out": sampler.score(test_codes)}
                for name, sampler in samplers.items()
            },
        }
        if model.doubled:
            metrics["spectrum_sampled"] = _sampled_spectrum(model, test, training)
        codes = {name: each[: spec.fid_samples] for name, each in drawn.items()}
        kept = spread(len(test_codes), min(KEPT_IMAGES, len(test_codes)))
        samples = torch.cat(list(_decoded(model, drawn[HEADLINE_SAMPLER][:KEPT_IMAGES])))
        images = {
            "originals": test.images[kept].numpy(),
            "samples": as_bytes(samples),
            **pictures(model, test_codes[kept.numpy()], test_codes),
        }
    return Evaluation(metrics, {RECONSTRUCTION: test_codes, **codes}, images)


def compare_decoded(
    model: Autoencoder, codes: Mapping[str, np.ndarray], reference: Reference, extractor: Extractor
) -> dict[str, Any]:
    """Compare decoded codes (see :class:`Evaluation`) with the test images, by their features.

    Returns:
        ``fid``: the distance from the test images of ``real`` training images, of
        ``reconstruction`` and of each sampler; ``neighbours``: the same by
        :func:`bench.evaluation.neighbours.nearest_neighbours`, without ``reconstruction``. Of each
        sampler: ``kid``, the kernel distance; ``coverage``, the share of test images that have a
        sample near them; ``copied``, the share of samples that copy a training image.
        ``real_images``: what subsets of the training images reach, see
        :class:`bench.evaluation.reference.Reference`.
    """
    seen: dict[str, Any] = {name: {} for name in ("fid", "neighbours", "kid", "coverage", "copied")}
    seen["fid"]["real"], seen["neighbours"]["real"] = reference.real_fid, reference.neighbours
    real = reference.features
    with torch.no_grad(), arithmetic("fp32", extractor.device):
        for name, each in codes.items():
            features = extractor.features(_decoded(model, each))
            seen["fid"][name] = frechet_distance(fit(features), reference.gaussian)
            if name != RECONSTRUCTION:
                seen["neighbours"][name] = nearest_neighbours(real, features)
                seen["kid"][name] = kernel_distance(features, real, reference.similarity)
                seen["coverage"][name] = coverage(real, reference.radii, features)
                ratios = nearest_ratio(features, reference.training)
                seen["copied"][name] = (ratios <= reference.least_ratio).double().mean().item()
    return seen | {"real_images": reference.real_images}


def _seed(name: str, training: TrainingSpec) -> int:
    """A seed in [0, 2^32), as scikit-learn and NumPy need it."""
    return derive_seed(name, training.seed) % 2**32


def _decoded(model: Autoencoder, codes: np.ndarray) -> Iterator[torch.Tensor]:
    for part in torch.from_numpy(codes).split(BATCH):
        yield model.decoder(part.to(model.device))


def _reconstruct(model: Autoencoder, split: Split) -> tuple[np.ndarray, float]:
    """Codes (n, latent_dim) of images, and the mean squared error of their reconstructions."""
    codes, errors = [], 0.0
    for images in batches(split.images, model.device):
        code = model.codes(images)
        errors += (model.decoder(code) - images).double().square().sum().item()
        codes.append(code.float().cpu().numpy())
    return np.concatenate(codes), errors / split.images.numel()


def _mean_image_error(train: Split, test: Split) -> float:
    """Mean squared error of the mean training image: what a model that learns nothing reaches."""
    total = sum(part.double().sum(dim=0) for part in train.images.split(BATCH))
    mean = torch.as_tensor(total) / len(train.images)
    # Not by ``sum``, which rounds floats otherwise from Python 3.12 on.
    errors = 0.0
    for part in test.images.split(BATCH):
        errors += (part.double() - mean).square().sum().item()
    return errors / test.images.numel() / 255**2


def _sampled_spectrum(model: Autoencoder, test: Split, training: TrainingSpec) -> list[float]:
    """Spectrum of codes drawn from the encoder's Gaussians, as IRMAE's authors compute it."""
    noise = torch.Generator(model.device).manual_seed(derive_seed("codes", training.seed))
    codes = []
    for images in batches(test.images, model.device):
        mean, log_variance = model.encoder(images).chunk(2, dim=1)
        epsilon = torch.randn(mean.shape, generator=noise, device=mean.device)
        codes.append((mean + epsilon * torch.exp(0.5 * log_variance)).float().cpu().numpy())
    return spectrum(np.concatenate(codes)).tolist()
