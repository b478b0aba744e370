import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.data import dataset
from bench.data.shapes import generate


def test_shapes_have_the_ranges_of_section_1_1() -> None:
    split = generate(20_000, seed=0)
    assert split.images.shape == (20_000, 3, 32, 32)
    for column, classes in enumerate((2, 6, 17, 17, 8, 8, 8)):
        values, counts = split.labels[:, column].unique(return_counts=True)
        assert values.tolist() == list(range(classes))
        expected = 20_000 / classes
        # Uniform: within five standard deviations.
        assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_shapes_are_drawn_as_labelled() -> None:
    split = generate(300, seed=1)
    for image, (kind, size, x, y, *_) in zip(
        split.images.numpy(), split.labels.tolist(), strict=True
    ):
        radius, cx, cy = size + 3, x + 8, y + 8
        mask = image.max(axis=0) > 0
        if not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        assert (columns.min(), columns.max()) == (cx - radius, cx + radius - 1)
        assert (rows.min(), rows.max()) == (cy - radius, cy + radius - 1)
        side = 2 * radius
        assert (mask.sum() == side**2) == (kind == 1)
        assert len(np.unique(image.reshape(3, -1)[:, mask.ravel()], axis=1).T) == 1


def test_shapes_come_from_the_seed() -> None:
    assert torch.equal(generate(50, seed=2).images, generate(50, seed=2).images)
    assert not torch.equal(generate(50, seed=2).images, generate(50, seed=3).images)


def test_shapes_are_those_that_runs_were_trained_on(committed: Path) -> None:
    """Whoever changes them raises the version in the data set's content."""
    records = [json.loads(path.read_bytes()) for path in committed.glob("shape-*/training.json")]
    trained = {record["content"]["provenance"]["images_sha256"] for record in records}
    data = dataset("shape").load(Path("elsewhere"))
    assert trained == {data.train.spread(8_192).checksum}


def test_enlarged_shapes_are_the_same_in_blocks() -> None:
    small, large = generate(5, seed=2), generate(5, seed=2, enlarged=2)
    assert torch.equal(large.labels, small.labels)
    for row in (0, 1):
        for column in (0, 1):
            assert torch.equal(large.images[:, :, row::2, column::2], small.images)


def test_test_shapes_are_others_than_training_shapes() -> None:
    data = replace(dataset("shape"), train=50, test=50).load(Path("elsewhere"))
    assert not torch.equal(data.train.images, data.test.images)
