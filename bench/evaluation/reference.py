"""What every run on the same images is measured against, computed once and cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.data.images import Split, spread, to_float
from bench.evaluation.extractor import Extractor
from bench.evaluation.frechet import Gaussian, fit, frechet_distance
from bench.evaluation.two_sample import nearest_neighbours
from bench.files import lock
from bench.models.tensors import load_tensors, save_tensors

_BATCH = 250


@dataclass(frozen=True)
class Reference:
    """Test images as an extractor sees them, and how other real images compare with them.

    Attributes:
        features: (n, d) float32, of the test images, on the extractor's device as the rest.
        gaussian: their mean and covariance.
        floor: FID of real training images, as many as samples are drawn.
        neighbours: of these and the test images, see
            :func:`bench.evaluation.two_sample.nearest_neighbours`.
    """

    features: torch.Tensor
    gaussian: Gaussian
    floor: float
    neighbours: dict[str, float]


def reference(name: str, test: Split, real: Split, extractor: Extractor, cache: Path) -> Reference:
    """Look at the test images, or find what was seen of them in the cache.

    Args:
        name: of the data set, for people.
        test: images that samples are compared with.
        real: training images, as many as samples are drawn.
        extractor: looks at them.
        cache: folder.
    """
    sums = "-".join(s[:16] for s in (extractor.checksum, test.checksum, real.checksum))
    path = cache / f"reference-{name}-{extractor.name}-{sums}.pt"
    with lock(path.with_suffix(".lock")):
        saved = load_tensors(path) or _looked(test, real, extractor, path)
    gaussian = Gaussian(saved["mean"], saved["covariance"]).to(extractor.device)
    features = saved["features"].to(extractor.device)
    return Reference(features, gaussian, saved["floor"], saved["neighbours"])


def _looked(test: Split, real: Split, extractor: Extractor, path: Path) -> dict[str, Any]:
    features = features_of(test, extractor)
    others = features_of(real, extractor)
    gaussian = fit([features])
    saved = {
        "features": features.cpu(),
        "mean": gaussian.mean.cpu(),
        "covariance": gaussian.covariance.cpu(),
        "floor": frechet_distance(fit([others]), gaussian),
        "neighbours": compare(features, others),
    }
    save_tensors(path, saved)
    return saved


def features_of(split: Split, extractor: Extractor) -> torch.Tensor:
    """Features (n, d) of a split's images, on the extractor's device."""
    batches = (to_float(part) for part in split.images.split(_BATCH))
    return torch.cat(list(extractor.features(batches)))


def compare(real: torch.Tensor, others: torch.Tensor) -> dict[str, float]:
    """Nearest neighbours of equally many of both, spread where there are more of one."""
    count = min(len(real), len(others))
    parts = [each[spread(len(each), count).to(each.device)] for each in (real, others)]
    return nearest_neighbours(*parts)
