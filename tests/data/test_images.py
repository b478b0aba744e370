from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from bench.data.idx import read
from bench.data.images import LoadedData, resize, to_float
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
