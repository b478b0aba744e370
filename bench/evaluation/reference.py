"""What every run on the same images is compared with, computed once and cached."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.data.images import LoadedData, Split, batches
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import Gaussian, fit, frechet_distance
from bench.evaluation.kernel_distance import kernel_distance, self_similarity
from bench.evaluation.neighbours import coverage, nearest_neighbours, nearest_ratio, radii
from bench.experiments.spec import MeasurementSpec
from bench.files import lock
from bench.hashing import canonical_json, sha256
from bench.models.precision import arithmetic
from bench.store.identity import METRIC_VERSIONS
from bench.store.records import BY_EXTRACTOR
from bench.tensors import load_tensors, save_tensors

# Real training images are compared with the test images in so many subsets, at most.
_SUBSETS = 6
# A sample is a copy whose ratio of distances is no larger than this quantile of test images'.
_RARE = 0.01


@dataclass(frozen=True)
class Reference:
    """An extractor's features of the test images, and how real training images compare with them.

    The tensors are on the extractor's device.

    Attributes:
        features: float32 (n, d), of the test images.
        gaussian: mean and covariance of these features.
        real_fid: Fréchet distance of training images, as many as samples are drawn.
        neighbours: the same images and the test images, compared by
            :func:`bench.evaluation.neighbours.nearest_neighbours`.
        similarity: of the test images by the kernel of :mod:`bench.evaluation.kernel_distance`.
        radii: float64 (n,), see :func:`bench.evaluation.neighbours.radii`.
        training: float32 (m, d), features of the training images.
        least_ratio: up to it an image is a copy of a training image, see
            :func:`bench.evaluation.neighbours.nearest_ratio`: one test image in a hundred is.
        real_images: how subsets of the training images compare with the test images, each as many
            as samples are drawn, or all where there are fewer: lists of ``fid``, ``kid``,
            ``coverage`` and ``neighbours``.
    """

    features: torch.Tensor
    gaussian: Gaussian
    real_fid: float
    neighbours: dict[str, float]
    similarity: float
    radii: torch.Tensor
    training: torch.Tensor
    least_ratio: float
    real_images: dict[str, list[Any]]


def load_reference(
    name: str,
    data: LoadedData,
    spec: MeasurementSpec,
    extractor: Extractor,
    cache: Path,
    *,
    train_images: int,
) -> Reference:
    """Read the reference of a data set, by its name, from the cache folder, or compute it in fp32.

    The data are both splits whole. The spec says how many test images are looked at, and how many
    real images in place of samples; ``train_images`` are those that are trained on.
    """
    test = data.test.spread(spec.test_images)
    real = data.train.spread(min(spec.fid_samples, len(data.train.images)))
    training = data.train.spread(train_images)
    declared = extractor.declared
    parts = [declared.identity, test.checksum, real.checksum, training.checksum]
    # What is cached is part of metrics, and computed anew with them.
    versions = {name: METRIC_VERSIONS[name] for name in sorted(BY_EXTRACTOR)}
    parts.append(sha256(canonical_json(versions)))
    checksums = "-".join(part[:16] for part in parts)
    path = cache / f"reference-{name}-{declared.name}-{checksums}.pt"
    with lock(path.with_suffix(".lock")):
        saved = load_tensors(path)
        if saved is None:
            with torch.no_grad(), arithmetic("fp32", extractor.device):
                saved = _computed(test, real, training, extractor)
            save_tensors(path, saved)
    placed: dict[str, Any] = {
        key: value.to(extractor.device) if isinstance(value, torch.Tensor) else value
        for key, value in saved.items()
    }
    placed["gaussian"] = Gaussian(placed.pop("mean"), placed.pop("covariance"))
    return Reference(**placed)


def _computed(test: Split, real: Split, training: Split, extractor: Extractor) -> dict[str, Any]:
    features, others, trained = (
        extractor.features(batches(split.images, extractor.device))
        for split in (test, real, training)
    )
    gaussian, similarity, within = fit(features), self_similarity(features), radii(features)
    subsets, ratios = _subsets(trained, len(others)), nearest_ratio(features, trained)
    return {
        "features": features.cpu(),
        "mean": gaussian.mean.cpu(),
        "covariance": gaussian.covariance.cpu(),
        "real_fid": frechet_distance(fit(others), gaussian),
        "neighbours": nearest_neighbours(features, others),
        "similarity": similarity,
        "radii": within.cpu(),
        "training": trained.cpu(),
        "least_ratio": ratios.quantile(_RARE, interpolation="lower").item(),
        "real_images": {
            "fid": [frechet_distance(fit(each), gaussian) for each in subsets],
            "kid": [kernel_distance(each, features, similarity) for each in subsets],
            "coverage": [coverage(features, within, each) for each in subsets],
            "neighbours": [nearest_neighbours(features, each) for each in subsets],
        },
    }


def _subsets(features: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Disjoint subsets of rows, drawn at random: files have their images in some order."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    count = max(1, min(_SUBSETS, len(features) // size))
    return [features[chosen.to(features.device)] for chosen in order.split(size)[:count]]
