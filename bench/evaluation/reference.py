"""What every run on the same images is compared with, computed once and cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.data.images import LoadedData, Split, to_float
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import Gaussian, fit, frechet_distance
from bench.evaluation.two_sample import nearest_neighbours
from bench.experiments.spec import MeasurementSpec
from bench.files import lock
from bench.models.precision import arithmetic
from bench.tensors import load_tensors, save_tensors

_BATCH = 250


@dataclass(frozen=True)
class Reference:
    """An extractor's features of the test images, and how real training images compare with them.

    The tensors are on the extractor's device.

    Attributes:
        features: float32 (n, d), of the test images.
        gaussian: mean and covariance of these features.
        real_fid: Fréchet distance of training images, as many as samples are drawn.
        neighbours: the same images and the test images, compared by
            :func:`bench.evaluation.two_sample.nearest_neighbours`.
    """

    features: torch.Tensor
    gaussian: Gaussian
    real_fid: float
    neighbours: dict[str, float]


def load_reference(
    name: str, data: LoadedData, spec: MeasurementSpec, extractor: Extractor, cache: Path
) -> Reference:
    """Read the reference of a data set from the cache folder, or compute it in fp32.

    The data are both splits whole; the spec says how many of their images are used.
    """
    test = data.test.spread(spec.test_images)
    real = data.train.spread(min(spec.fid_samples, len(data.train.images)))
    declared = extractor.declared
    checksums = "-".join(s[:16] for s in (declared.identity, test.checksum, real.checksum))
    path = cache / f"reference-{name}-{declared.name}-{checksums}.pt"
    with lock(path.with_suffix(".lock")):
        saved = load_tensors(path)
        if saved is None:
            with torch.no_grad(), arithmetic("fp32", extractor.device):
                saved = _computed(test, real, extractor)
            save_tensors(path, saved)
    features, mean, covariance = (
        saved[name].to(extractor.device) for name in ("features", "mean", "covariance")
    )
    gaussian = Gaussian(mean, covariance)
    return Reference(features, gaussian, saved["floor"], saved["neighbours"])


def _computed(test: Split, real: Split, extractor: Extractor) -> dict[str, Any]:
    features, others = (
        extractor.features(map(to_float, split.images.split(_BATCH))) for split in (test, real)
    )
    gaussian = fit(features)
    return {
        "features": features.cpu(),
        "mean": gaussian.mean.cpu(),
        "covariance": gaussian.covariance.cpu(),
        "floor": frechet_distance(fit(others), gaussian),
        "neighbours": nearest_neighbours(features, others),
    }
