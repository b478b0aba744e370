"""Classifiers that come with the package, pinned by the SHA-256 of their files.

``python -m bench.evaluation.shipped mnist --data-dir DIR --out FILE`` trains one. Its last digits,
and so its checksum, differ between processors: what is measured by another one is measured by
another extractor.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from bench.data import Dataset, dataset
from bench.data.images import Split, to_float
from bench.errors import BenchError
from bench.evaluation.classifier import DIMENSIONS, Classifier
from bench.evaluation.extractor import Extractor, three_channels
from bench.evaluation.known import shipped_checksum, shipped_file
from bench.evaluation.trained import initial_network, train_network
from bench.files import file_sha256
from bench.models.tensors import save_state

_NAME = "classifier-local"
# Ten epochs of MNIST: it is trained once, for everyone.
_STEPS = 5_000
# A feature lives if it varies by this share of the one that varies most.
_ALIVE = 1e-3


def shipped_classifier(data: Dataset, device: torch.device) -> Extractor:
    """Load the classifier that the package ships for a data set.

    Raises:
        UsageError: none is shipped for these data.
        BenchError: the file is not the one that was shipped.
    """
    expected, path = shipped_checksum(data), shipped_file(data)
    if path is None or not path.is_file() or file_sha256(path) != expected:
        raise BenchError(f"{path}: not the classifier that was shipped; install the package again")
    source = dataset(data.part_of or data.name)
    # Images of MNIST and of shapes have this size.
    model = initial_network(_NAME, 32, source)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Extractor("classifier", DIMENSIONS, expected, model.to(device).eval(), device, 500)


@torch.no_grad()
def described(model: Classifier, test: Split) -> str:
    """A classifier's test accuracy, and how many of its features live."""
    images = three_channels(to_float(test.images))
    deviations = torch.cat([model(part) for part in images.split(500)]).std(dim=0)
    alive = int((deviations > _ALIVE * deviations.max()).sum())
    accuracy = model.accuracy(images, test.labels)
    return f"test accuracy {accuracy:.2%}, {alive} of {DIMENSIONS} features alive"


def main() -> int:
    """Train a classifier, write its file and say what it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="a labelled data set, such as mnist or shape")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    declared = dataset(arguments.dataset)
    data = declared.load(arguments.data_dir)
    model = train_network(_NAME, data.train, declared, _STEPS)
    if not isinstance(model, Classifier):
        raise TypeError(_NAME)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_state(arguments.out, state)
    print(f"{arguments.out}: SHA-256 {file_sha256(arguments.out)}, {described(model, data.test)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
