"""Every measure of samples on sets of digits whose right answer is known."""

import pytest
import torch
from torch.nn import functional as F

from bench.data import dataset
from bench.data.images import LoadedData, to_float
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.frechet import fit, frechet_distance
from bench.evaluation.kernel_distance import kernel_distance, self_similarity
from bench.evaluation.neighbours import coverage, nearest_neighbours, nearest_ratio, radii


@pytest.fixture(scope="module")
def found(sample: LoadedData) -> dict[str, dict[str, float]]:
    """The measures of each set, against 256 test images and 1,024 training images."""
    declared = declared_extractor("classifier", dataset("mnist-sample"))
    extractor = Extractor.load(declared, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    # Neighbours in the file are of one writer.
    order = torch.randperm(512, generator=generator)
    test, labels = to_float(sample.test.images[order]), sample.test.labels[order, 0]
    training = to_float(sample.train.images)
    fresh, digits = test[256:], labels[256:]
    sets = {
        "fresh": fresh,
        "blurred": F.avg_pool2d(fresh, 5, stride=1, padding=2),
        "noisy": (fresh + 0.3 * torch.randn(fresh.shape, generator=generator)).clamp(0, 1),
        "paler": fresh / 2,
        "without zeros": fresh[digits != 0],
        "ones": fresh[digits == 1],
        "repeated": fresh[:16].repeat(16, 1, 1, 1),
        "copied": training[order],
    }
    real, known = (extractor.features([images]) for images in (test[:256], training))
    within, similarity, gaussian = radii(real), self_similarity(real), fit(real)
    least = nearest_ratio(real, known).quantile(0.01, interpolation="lower")
    measured = {}
    for name, images in sets.items():
        features = extractor.features([images])
        measured[name] = {
            "fid": frechet_distance(fit(features), gaussian),
            "kid": kernel_distance(features, real, similarity),
            "coverage": coverage(real, within, features),
            "copied": (nearest_ratio(features, known) <= least).double().mean().item(),
            **nearest_neighbours(real, features),
        }
    return measured


@pytest.mark.parametrize("name", ["blurred", "noisy", "paler", "ones", "repeated"])
@pytest.mark.parametrize("measure", ["fid", "kid", "coverage"])
def test_damaged_digits_are_worse_than_fresh_ones(
    found: dict[str, dict[str, float]], name: str, measure: str
) -> None:
    damaged, fresh = found[name][measure], found["fresh"][measure]
    assert damaged < fresh - 0.1 if measure == "coverage" else damaged > 1.5 * fresh


@pytest.mark.parametrize("name", ["blurred", "noisy", "paler", "ones", "repeated"])
def test_damaged_digits_are_told_from_real_ones(
    found: dict[str, dict[str, float]], name: str
) -> None:
    """Blurred samples balance at 0.5 in pixels; either side by itself gives them away."""
    ideal, shares = (
        [found[each][side] for side in ("real", "samples")] for each in ("fresh", name)
    )
    assert ideal == pytest.approx([0.5, 0.5], abs=0.1)
    assert sum(abs(a - b) for a, b in zip(ideal, shares, strict=True)) / 2 > 0.2


def test_coverage_shows_a_lost_class(found: dict[str, dict[str, float]]) -> None:
    """A tenth of the digits are zeros, and few of them have another digit near them."""
    assert found["fresh"]["coverage"] > 0.85
    assert 0.03 < found["fresh"]["coverage"] - found["without zeros"]["coverage"] < 0.15
    assert found["ones"]["coverage"] < 0.25


def test_copies_show_in_the_share_of_copies_alone(found: dict[str, dict[str, float]]) -> None:
    assert found["copied"]["copied"] == 1
    assert all(each["copied"] < 0.1 for name, each in found.items() if name != "copied")
    assert found["copied"]["coverage"] > 0.85
    assert found["copied"]["fid"] < 1.5 * found["fresh"]["fid"]
