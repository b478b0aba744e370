"""Extractors that the suite trains itself, once for each data set, in Inception's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from bench.data import Dataset
from bench.data.images import Split, to_float
from bench.evaluation.classifier import DIMENSIONS, Classifier
from bench.evaluation.extractor import Extractor, three_channels
from bench.evaluation.known import local_path, note_checksum
from bench.evaluation.simclr import Contrastive
from bench.files import lock
from bench.hashing import derive_seed
from bench.models.tensors import digest, load_tensors, save_tensors

# Of an extractor that is trained where it is needed.
STEPS = 1_000
_BATCH = 128
_LEARNING_RATE = 2e-3
_THREADS = 2


# Networks that give features of images, and have a loss of images, labels and noise.
Learner = Classifier | Contrastive
_LEARNERS: Mapping[str, type[Learner]] = {
    "classifier-local": Classifier,
    "simclr-local": Contrastive,
}


def local_extractor(
    name: str, dataset: Dataset, train: Callable[[], Split], cache: Path, device: torch.device
) -> Extractor:
    """The data set's own extractor: from the cache, or trained and cached.

    Args:
        name: ``classifier-local``, which learns the data set's labels, or ``simclr-local``, which
            needs none.
        dataset: whose images it learns.
        train: loads the whole training split; called only where training is needed.
        cache: folder for its weights. A lock in it makes others wait for the one that trains.
        device: where it runs.
    """
    path = local_path(name, dataset, cache)
    with lock(path.with_suffix(".lock")):
        saved = load_tensors(path)
        if saved is None:
            split = train()
            weights = train_network(name, split, dataset, STEPS).state_dict()
            saved = {"image_size": split.images.shape[-1], "weights": weights}
            save_tensors(path, saved)
    model = initial_network(name, saved["image_size"], dataset)
    model.load_state_dict(saved["weights"])
    checksum = digest(saved["weights"])
    note_checksum(name, dataset, cache, checksum)
    return Extractor(name, DIMENSIONS, checksum, model.to(device).eval(), device, 500)


def train_network(name: str, train: Split, dataset: Dataset, steps: int) -> Learner:
    """Train on a whole training split, seeded by the data set's name.

    Adam at batch 128 with a cosine schedule. Always on the CPU, so that a machine with a GPU gets
    the same extractor as one without.

    Args:
        name: as in :func:`local_extractor`.
        train: images and labels.
        dataset: what they are.
        steps: of Adam; a thousand are two epochs of MNIST.
    """
    threads = torch.get_num_threads()
    # The order of summation, and so the last digits, depend on the number of threads.
    torch.set_num_threads(_THREADS)
    try:
        return _train(name, train, dataset, steps)
    finally:
        torch.set_num_threads(threads)


def _train(name: str, train: Split, dataset: Dataset, steps: int) -> Learner:
    model = initial_network(name, train.images.shape[-1], dataset)
    order = torch.Generator().manual_seed(derive_seed(f"{name} order", dataset.name))
    noise = torch.Generator().manual_seed(derive_seed(f"{name} noise", dataset.name))
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(train.images), (_BATCH,), generator=order)
        optimizer.zero_grad()
        images = three_channels(to_float(train.images[chosen]))
        model.loss(images, train.labels[chosen], noise).backward()
        optimizer.step()
        schedule.step()
    return model


def initial_network(name: str, image_size: int, dataset: Dataset) -> Learner:
    """The network of an extractor with its initial weights, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(name, dataset.name))
        model = _LEARNERS[name](image_size, dataset.classes)
        return model.to(memory_format=torch.channels_last)
