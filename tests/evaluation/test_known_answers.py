"""Every measure of samples on sets of digits whose right answer is known."""

from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch.nn import functional as F

from bench.data import dataset
from bench.data.images import LoadedData, Split, to_float
from bench.evaluation.evaluate import compare_decoded
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.reference import load_reference
from tests.support.tiny import TINY_MEASUREMENT

CPU = torch.device("cpu")
_Measures = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def found(sample: LoadedData, tmp_path_factory: pytest.TempPathFactory) -> _Measures:
    """The measures of each set, against 256 test images and 1,024 training images."""
    generator = torch.Generator().manual_seed(0)
    # Neighbours in the file are of one writer.
    order = torch.randperm(512, generator=generator)
    test, labels = to_float(sample.test.images[order]), sample.test.labels[order, 0]
    fresh, digits = test[256:], labels[256:]
    sets = {
        "fresh": fresh,
        "blurred": F.avg_pool2d(fresh, 5, stride=1, padding=2),
        "noisy": (fresh + 0.3 * torch.randn(fresh.shape, generator=generator)).clamp(0, 1),
        "paler": fresh / 2,
        "without zeros": fresh[digits != 0],
        "ones": fresh[digits == 1],
        "repeated": fresh[:16].repeat(16, 1, 1, 1),
        "copied": to_float(sample.train.images)[order],
    }
    parts = (sample.test.images[order[:256]], sample.test.labels[order[:256]])
    data = LoadedData(sample.train, Split(*parts), "")
    spec = replace(TINY_MEASUREMENT, test_images=256)
    extractor = Extractor.load(declared_extractor("classifier", dataset("mnist-sample")), CPU)
    cache = tmp_path_factory.mktemp("cache")
    reference = load_reference("mnist-sample", data, spec, extractor, cache, train_images=1_024)
    # Its codes are the images themselves.
    model = mock.Mock(device=CPU, decoder=lambda codes: codes.unflatten(1, (1, 32, 32)))
    codes = {name: images.flatten(1).numpy() for name, images in sets.items()}
    seen = compare_decoded(model, codes, reference, extractor)
    measures = ("fid", "kid", "coverage", "copied")
    return {n: {m: seen[m][n] for m in measures} | seen["neighbours"][n] for n in sets}


@pytest.mark.parametrize("name", ["blurred", "noisy", "paler", "ones", "repeated"])
@pytest.mark.parametrize("measure", ["fid", "kid", "coverage"])
def test_damaged_digits_are_worse_than_fresh_ones(
    found: _Measures, name: str, measure: str
) -> None:
    damaged, fresh = found[name][measure], found["fresh"][measure]
    assert damaged < fresh - 0.1 if measure == "coverage" else damaged > 1.5 * fresh


@pytest.mark.parametrize("name", ["blurred", "noisy", "paler", "ones", "repeated"])
def test_damaged_digits_are_told_from_real_ones(found: _Measures, name: str) -> None:
    """Blurred samples balance at 0.5 in pixels; either side by itself gives them away."""
    ideal, shares = (
        [found[each][side] for side in ("real", "samples")] for each in ("fresh", name)
    )
    assert ideal == pytest.approx([0.5, 0.5], abs=0.1)
    assert sum(abs(a - b) for a, b in zip(ideal, shares, strict=True)) / 2 > 0.2


def test_coverage_shows_a_lost_class(found: _Measures) -> None:
    """A tenth of the digits are zeros, and few of them have another digit near them."""
    assert found["fresh"]["coverage"] > 0.85
    assert 0.03 < found["fresh"]["coverage"] - found["without zeros"]["coverage"] < 0.15
    assert found["ones"]["coverage"] < 0.25


def test_copies_show_in_the_share_of_copies_alone(found: _Measures) -> None:
    assert found["copied"]["copied"] == 1
    assert all(each["copied"] < 0.1 for name, each in found.items() if name != "copied")
    assert found["copied"]["coverage"] > 0.85
    assert found["copied"]["fid"] < 1.5 * found["fresh"]["fid"]
