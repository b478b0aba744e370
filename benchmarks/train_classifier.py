"""Train a classifier like those that the package ships.

    python -m benchmarks.train_classifier mnist --data-dir DIR --out FILE

On another processor the weights' last digits, and so the checksum, may differ. Such a classifier is
another extractor.
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F

from bench.data import Dataset, dataset
from bench.data.images import Split, to_float
from bench.evaluation.extractors.classifier import DIMENSIONS, Classifier
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


def scores(model: Classifier, data: Dataset, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A score for each class, (n, classes), by label."""
    return model.head(model(images)).split(data.classes, dim=1)


def train_classifier(train: Split, data: Dataset, steps: int = _STEPS) -> Classifier:
    """Train on a whole training split: Adam at batch 128 with a cosine schedule, on the CPU.

    The data set's name seeds the weights and the order of the images. The loss is the sum over
    labels of the mean cross-entropy.
    """
    torch.set_num_threads(_THREADS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("classifier-local", data.name))
        model = Classifier(data.classes).to(memory_format=torch.channels_last)
    order = torch.Generator().manual_seed(derive_seed("classifier-local order", data.name))
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(train.images), (_BATCH,), generator=order)
        optimizer.zero_grad()
        found = scores(model, data, to_float(train.images[chosen]).expand(-1, 3, -1, -1))
        labels = train.labels[chosen].unbind(dim=1)
        losses = [F.cross_entropy(s, label) for s, label in zip(found, labels, strict=True)]
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def quality(model: Classifier, data: Dataset, test: Split) -> tuple[float, int]:
    """The share of all labels that are predicted correctly, and how many features are alive."""
    images = to_float(test.images).expand(-1, 3, -1, -1)
    deviations = torch.cat([model(part) for part in images.split(500)]).std(dim=0)
    predicted = torch.stack([s.argmax(dim=1) for s in scores(model, data, images)], dim=1)
    alive = int((deviations > _ALIVE * deviations.max()).sum())
    return (predicted == test.labels).float().mean().item(), alive


def main() -> None:
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
    accuracy, alive = quality(model, declared, data.test)
    print(
        f"{arguments.out}: SHA-256 {file_sha256(arguments.out)}, test accuracy {accuracy:.2%}, "
        f"{alive} of {DIMENSIONS} features alive"
    )


if __name__ == "__main__":
    main()
