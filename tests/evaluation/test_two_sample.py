"""The two-sample test on inputs whose right answer is known."""

from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from bench.data import dataset
from bench.data.images import LoadedData, to_float
from bench.evaluation.extractor import Extractor, three_channels
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.two_sample import nearest_neighbours

CPU = torch.device("cpu")


def test_shares_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(1_300, 6, generator=generator)
    b = torch.randn(1_300, 6, generator=generator) + 0.4
    together = torch.cat([a, b]).numpy()
    nearest = NearestNeighbors(n_neighbors=2).fit(together).kneighbors()[1][:, 0]
    real = (nearest[:1_300] < 1_300).mean()
    samples = (nearest[1_300:] >= 1_300).mean()
    found = nearest_neighbours(a, b)
    assert found == pytest.approx({"real": real, "samples": samples})
    assert min(found.values()) > 0.5


def test_the_larger_set_is_thinned_evenly() -> None:
    a, b = torch.randn(2, 97, 4, generator=torch.Generator().manual_seed(0))
    assert nearest_neighbours(a, b[:33]) == nearest_neighbours(a[::3], b[:33])
    assert nearest_neighbours(a[:33], b) == nearest_neighbours(a[:33], b[::3])


@pytest.fixture(scope="module")
def digits(sample: LoadedData) -> dict[str, torch.Tensor]:
    """Real digits, and sets of images that are to be told from them."""
    # Neighbours in the file are of one writer.
    order = torch.randperm(1_024, generator=torch.Generator().manual_seed(0))
    images = to_float(sample.train.images[order])
    real, other = images[:500], images[500:1000]
    return {
        "real": real,
        "other": other,
        "blurred": F.avg_pool2d(other, 5, stride=1, padding=2),
        "repeated": other[:1].expand(500, -1, -1, -1),
        "copied": real.clone(),
    }


def _shares(digits: dict[str, torch.Tensor], name: str) -> dict[str, float]:
    network = Extractor.load(declared_extractor("classifier", dataset("mnist-sample")), CPU).network
    count = len(digits[name])
    with torch.no_grad():
        features = [network(three_channels(digits[n][:count])) for n in ("real", name)]
    return nearest_neighbours(*features)


def test_other_real_images_are_not_told_apart(digits: dict[str, torch.Tensor]) -> None:
    found = _shares(digits, "other")
    assert found == pytest.approx({"real": 0.5, "samples": 0.5}, abs=0.06)


@pytest.mark.parametrize("name", ["blurred", "repeated", "copied"])
def test_what_is_no_sample_is_far_from_what_other_real_images_reach(
    digits: dict[str, torch.Tensor], name: str
) -> None:
    """Blurred samples balance at 0.5 in pixels; either side by itself gives them away."""
    ideal, found = _shares(digits, "other"), _shares(digits, name)
    distance = sum(abs(found[side] - ideal[side]) for side in ideal) / 2
    assert distance > 0.2
    if name == "copied":
        assert found == {"real": 0.0, "samples": 0.0}
    if name == "repeated":
        assert found["samples"] == 1.0


def test_a_class_that_is_missing_shows_on_the_side_of_the_real_images() -> None:
    """One of ten distant clouds has no samples, so its real images find each other."""
    generator = torch.Generator().manual_seed(0)
    centres = 40 * torch.randn(10, 8, generator=generator)

    def draw(classes: int) -> torch.Tensor:
        chosen = torch.randint(0, classes, (3_000,), generator=generator)
        return centres[chosen] + torch.randn(3_000, 8, generator=generator)

    real, other, nine = draw(10), draw(10), draw(9)
    ideal, found = nearest_neighbours(real, other), nearest_neighbours(real, nine)
    assert ideal["real"] == pytest.approx(0.5, abs=0.03)
    # A tenth of them is certain; of the rest there are fewer than of samples.
    assert found["real"] - ideal["real"] > 0.025
    assert found["samples"] - ideal["samples"] > 0.01
