"""Train a classifier like those that the package ships.

    python -m bench.evaluation.extractors.train_classifier mnist --data-dir DIR --out FILE

On another processor the weights' last digits, and so the checksum, may differ. Such a classifier is
another extractor.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from bench.data import Dataset, dataset
from bench.data.images import Split, to_float
from bench.evaluation.extractor import three_channels
from bench.evaluation.extractors.classifier import DIMENSIONS, Classifier, initial_classifier
from bench.files import file_sha256
from bench.hashing import derive_seed
from bench.tensors import save_state

# On MNIST these are ten epochs.
_STEPS = 5_000
_BATCH = 128
_LEARNING_RATE = 2e-3
# The order of summation, and so the last digits, depend on the number of threads.
_THREADS = 2
# A feature is alive if its deviation is more than this share of the largest one.
_ALIVE = 1e-3


def train_classifier(train: Split, data: Dataset, steps: int = _STEPS) -> Classifier:
    """Train on a whole training split: Adam at batch 128 with a cosine schedule, on the CPU.

    The data set's name seeds the weights and the order of the images.
    """
    torch.set_num_threads(_THREADS)
    model = initial_classifier(data)
    order = torch.Generator().manual_seed(derive_seed("classifier-local order", data.name))
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(train.images), (_BATCH,), generator=order)
        optimizer.zero_grad()
        images = three_channels(to_float(train.images[chosen]))
        model.loss(images, train.labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def described(model: Classifier, test: Split) -> str:
    """A classifier's test accuracy and its number of features that are alive, as a text."""
    images = three_channels(to_float(test.images))
    deviations = torch.cat([model(part) for part in images.split(500)]).std(dim=0)
    alive = int((deviations > _ALIVE * deviations.max()).sum())
    accuracy = model.accuracy(images, test.labels)
    return f"test accuracy {accuracy:.2%}, {alive} of {DIMENSIONS} features alive"


def main() -> int:
    """Train a classifier, write its file, and print its checksum and accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="a labelled data set, such as mnist or shape")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    declared = dataset(arguments.dataset)
    data = declared.load(arguments.data_dir)
    model = train_classifier(data.train, declared)
    save_state(arguments.out, {k: v.contiguous() for k, v in model.state_dict().items()})
    print(f"{arguments.out}: SHA-256 {file_sha256(arguments.out)}, {described(model, data.test)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
