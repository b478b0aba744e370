"""The ``classifier`` extractor: a small network trained once per labelled data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from bench.data import Dataset
from bench.data.images import Split, to_float
from bench.evaluation.extractor import Extractor, three_channels
from bench.files import lock
from bench.spec import canonical_json, derive_seed, sha256
from bench.tensors import digest, load_tensors, save_tensors

DIMENSIONS = 128
# Raised when anything here changes what the features are.
VERSION = 1

_STEPS = 1_000
_BATCH = 128
_LEARNING_RATE = 2e-3
_THREADS = 2


class Classifier(nn.Module):
    """Three strided convolutions, 128 features, and the scores of each label's classes."""

    def __init__(self, image_size: int, classes: tuple[int, ...]) -> None:
        """Build for images (n, 3, image_size, image_size)."""
        super().__init__()
        self.classes = classes
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * (image_size // 8) ** 2, DIMENSIONS),
            nn.ReLU(),
        )
        self.head = nn.Linear(DIMENSIONS, sum(classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (n, 128) of float images (n, 3, size, size) in [0, 1]."""
        return self.body(images)

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum over labels of the mean cross-entropy; labels are (n, number of labels)."""
        scores = self.head(self.body(images)).split(self.classes, dim=1)
        losses = [F.cross_entropy(s, labels[:, i]) for i, s in enumerate(scores)]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def accuracy(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Share of labels predicted right, in [0, 1], over all labels."""
        scores = self.head(self.body(images)).split(self.classes, dim=1)
        predicted = torch.stack([s.argmax(dim=1) for s in scores], dim=1)
        return (predicted == labels).float().mean().item()


def train_classifier(train: Split, classes: tuple[int, ...], name: str) -> Classifier:
    """Train on a whole training split, seeded by the data set's name.

    A thousand steps of Adam at batch 128 with a cosine schedule: two epochs of MNIST. Always on
    the CPU, so that a machine with a GPU gets the same extractor as one without.
    """
    threads = torch.get_num_threads()
    # The order of summation, and so the last digits, depend on the number of threads.
    torch.set_num_threads(_THREADS)
    try:
        return _train(train, classes, name)
    finally:
        torch.set_num_threads(threads)


def _train(train: Split, classes: tuple[int, ...], name: str) -> Classifier:
    model = _initial(train.images.shape[-1], classes, name)
    order = torch.Generator().manual_seed(derive_seed("classifier order", name))
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        chosen = torch.randint(len(train.images), (_BATCH,), generator=order)
        optimizer.zero_grad()
        images = three_channels(to_float(train.images[chosen]))
        model.loss(images, train.labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return model


def _initial(image_size: int, classes: tuple[int, ...], name: str) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("classifier", name))
        return Classifier(image_size, classes).to(memory_format=torch.channels_last)


def classifier_extractor(
    dataset: Dataset, train: Callable[[], Split], cache: Path, device: torch.device
) -> Extractor:
    """The data set's own classifier: from the cache, or trained and cached.

    Args:
        dataset: whose labels it learns.
        train: loads the whole training split; called only where training is needed.
        cache: folder for its weights. A lock in it makes others wait for the one that trains.
        device: where it runs.
    """
    key = sha256(canonical_json([VERSION, dataset.fingerprint, list(dataset.classes)]))[:8]
    path = cache / f"classifier-{dataset.name}-{key}.pt"
    with lock(path.with_suffix(".lock")):
        saved = load_tensors(path)
        if saved is None:
            split = train()
            weights = train_classifier(split, dataset.classes, dataset.name).state_dict()
            saved = {"image_size": split.images.shape[-1], "weights": weights}
            save_tensors(path, saved)
    model = _initial(saved["image_size"], dataset.classes, dataset.name)
    model.load_state_dict(saved["weights"])
    checksum = digest(saved["weights"])
    return Extractor("classifier", DIMENSIONS, checksum, model.to(device).eval(), device, 500)
