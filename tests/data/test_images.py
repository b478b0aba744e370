import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import images as module
from bench.data.idx import read
from bench.data.images import LoadedData, Split, resize, spread, to_float
from tests.support.pictures import SAMPLE_FOLDER


def test_resize_is_pils(sample: LoadedData) -> None:
    originals = read(SAMPLE_FOLDER / "train-images-idx3-ubyte.gz").array[:64]
    for original, resized in zip(originals, sample.train.images[:64, 0].numpy(), strict=True):
        expected = np.asarray(Image.fromarray(original).resize((32, 32), Image.Resampling.BILINEAR))
        assert np.abs(expected.astype(int) - resized.astype(int)).max() <= 1


def test_shrinking_is_antialiased_as_pils_is() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    expected = np.asarray(Image.fromarray(stripes).resize((32, 32), Image.Resampling.BILINEAR))
    resized = resize(torch.from_numpy(stripes)[None, None], 32)[0, 0].numpy()
    assert np.abs(expected.astype(int) - resized.astype(int)).max() <= 1


def test_images_become_floats_in_the_unit_interval() -> None:
    images = to_float(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8))
    torch.testing.assert_close(images, torch.tensor([[[[0.0, 0.2, 1.0]]]]))


def test_images_that_are_spread_keep_their_labels(sample: LoadedData) -> None:
    chosen, part = [0, 255, 511, 767, 1023], sample.train.spread(5)
    assert torch.equal(part.images, sample.train.images[chosen])
    assert torch.equal(part.labels, sample.train.labels[chosen])


@pytest.mark.parametrize("chunk", [2, 9])
def test_a_checksum_is_of_every_image(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "BATCH", chunk)
    images = torch.arange(20, dtype=torch.uint8).view(5, 1, 2, 2)
    expected = hashlib.sha256(bytes(range(20))).hexdigest()
    assert Split(images, torch.empty(5, 0)).checksum == expected


@pytest.mark.parametrize(("available", "count"), [(60_000, 10_000), (162_770, 16_384)])
def test_many_images_are_spread_evenly(available: int, count: int) -> None:
    """Single precision would miss some by one."""
    expected = np.arange(count) * (available - 1) // (count - 1)
    assert np.array_equal(spread(available, count).numpy(), expected)
