from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.images import LoadedData, Split
from bench.evaluation.extractor import Extractor
from bench.evaluation.kernel_distance import kernel_distance, self_similarity
from bench.evaluation.neighbours import coverage, nearest_neighbours, nearest_ratio, radii
from bench.evaluation.reference import load_reference
from bench.store.identity import METRIC_VERSIONS
from tests.support.measuring import PIXELS, pytorch_fid
from tests.support.tiny import TINY_MEASUREMENT


def test_real_images_are_training_images_spread_over_the_split(
    tmp_path: Path, sample: LoadedData
) -> None:
    """Their distance is pytorch-fid's for as many training images as samples."""
    data = LoadedData(sample.train, sample.test.spread(32), "")
    found = load_reference(
        "mnist-sample", data, TINY_MEASUREMENT, PIXELS, tmp_path, train_images=64
    )
    chosen = sample.train.images[np.linspace(0, 1023, 40).astype(int)]
    expected = pytorch_fid(chosen / 255, data.test.images / 255)
    assert found.real_fid == pytest.approx(expected, rel=1e-4)
    ours, real = (PIXELS.features([each / 255]) for each in (chosen, data.test.images))
    assert found.neighbours == nearest_neighbours(real, ours)


def test_real_images_are_compared_in_disjoint_subsets_of_those_that_are_trained_on(
    tmp_path: Path, sample: LoadedData
) -> None:
    """Eighty of the training images are two subsets of forty, as many as samples."""
    data = LoadedData(sample.train, sample.test.spread(32), "")
    found = load_reference(
        "mnist-sample", data, TINY_MEASUREMENT, PIXELS, tmp_path, train_images=80
    )
    trained = sample.train.images[np.linspace(0, 1023, 80).astype(int)] / 255
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    subsets = [trained[chosen] for chosen in order.split(40)]
    expected = [pytorch_fid(subset, data.test.images / 255) for subset in subsets]
    assert found.real_images["fid"] == pytest.approx(expected, rel=1e-4)
    assert {len(values) for values in found.real_images.values()} == {2}
    ours, real = (PIXELS.features([each]) for each in (subsets[0], data.test.images / 255))
    assert found.real_images["coverage"][0] == coverage(real, radii(real), ours)
    assert found.real_images["neighbours"][0] == nearest_neighbours(real, ours)
    expected_kid = kernel_distance(ours, real, self_similarity(real))
    assert found.real_images["kid"][0] == pytest.approx(expected_kid, abs=1e-6)


def test_one_test_image_in_a_hundred_counts_as_a_copy(tmp_path: Path, sample: LoadedData) -> None:
    spec = replace(TINY_MEASUREMENT, test_images=512)
    found = load_reference("mnist-sample", sample, spec, PIXELS, tmp_path, train_images=1_024)
    ratios = nearest_ratio(found.features, found.training)
    assert (ratios < found.least_ratio).sum() == 5


def test_references_belong_to_their_data_and_are_computed_again_if_damaged(
    tmp_path: Path, sample: LoadedData
) -> None:
    test = sample.test.spread(32)
    inverted = Split(255 - test.images, test.labels)
    both = [LoadedData(sample.train, each, "") for each in (test, inverted)]

    def load(data: LoadedData) -> torch.Tensor:
        return load_reference(
            "own", data, TINY_MEASUREMENT, PIXELS, tmp_path, train_images=64
        ).features

    first, other = map(load, both)
    assert not torch.equal(first, other)
    files = list(tmp_path.glob("reference-*.pt"))
    assert len(files) == 2
    content = files[0].read_bytes()
    assert torch.equal(load(both[0]), first)
    assert files[0].read_bytes() == content
    for path in files:
        path.write_bytes(b"damaged")
    assert torch.equal(load(both[0]), first)


@pytest.mark.parametrize("names", [["coverage"], list(METRIC_VERSIONS)], ids=["one", "all"])
def test_what_was_cached_by_another_version_of_a_metric_is_not_taken(
    tmp_path: Path, sample: LoadedData, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    data = LoadedData(sample.train, sample.test.spread(32), "")
    files = []
    for version in (2, 3, 2):
        for name in names:
            monkeypatch.setitem(METRIC_VERSIONS, name, version)
        load_reference("own", data, TINY_MEASUREMENT, PIXELS, tmp_path, train_images=64)
        files.append(len(list(tmp_path.glob("reference-*.pt"))))
    assert files == [1, 2, 2]


def test_an_edited_extractor_of_the_same_weights_has_a_reference_of_its_own(
    tmp_path: Path, sample: LoadedData
) -> None:
    first = replace(PIXELS.declared, source="a" * 64)
    edited = replace(
        first, source="b" * 64, dimensions=4, load=lambda _: lambda images: images[:, 0, ::8, 0]
    )
    data = LoadedData(sample.train, sample.test.spread(32), "")
    sizes = []
    for declared in (first, edited):
        extractor = Extractor.load(declared, torch.device("cpu"))
        found = load_reference("own", data, TINY_MEASUREMENT, extractor, tmp_path, train_images=64)
        sizes.append(found.features.shape[1])
    assert sizes == [16, 4]


@pytest.mark.parametrize(
    "change", [{"fid_samples": 60}, {"test_images": 50}, {"train_images": 200}], ids=str
)
def test_what_was_cached_of_other_sizes_is_not_taken(
    tmp_path: Path, sample: LoadedData, change: dict[str, int]
) -> None:
    def load(cache: str, sizes: dict[str, int]) -> tuple[object, ...]:
        sizes = {"train_images": 64} | sizes
        count = sizes.pop("train_images")
        spec = replace(TINY_MEASUREMENT, **sizes)  # type: ignore[arg-type]
        found = load_reference("own", sample, spec, PIXELS, tmp_path / cache, train_images=count)
        return len(found.features), len(found.training), found.real_fid, found.real_images

    load("shared", {})
    found = load("shared", change)
    assert found == load("fresh", change)
    assert found[0] == change.get("test_images", 32)
