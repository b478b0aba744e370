"""Extractors that the suite trains itself, once for each data set, in Inception's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from bench.data import Dataset
from bench.data.images import Split, to_float
from bench.evaluation.classifier import DIMENSIONS, Classifier
from bench.evaluation.extractor import Extractor, three_channels
from bench.evaluation.simclr import Contrastive
from bench.files import lock
from bench.spec import canonical_json, derive_seed, sha256
from bench.tensors import digest, load_tensors, save_tensors

# Raised when anything here changes what the features are.
VERSION = 1

STEPS = 1_000
_BATCH = 128
_LEARNING_RATE = 2e-3
_THREADS = 2


# Networks that give features of images, and have a loss of images, labels and noise.
_Learner = Classifier | Contrastive
_LEARNERS: Mapping[str, type[_Learner]] = {"classifier": Classifier, "simclr": Contrastive}


def trained_extractor(
    name: str, dataset: Dataset, train: Callable[[], Split], cache: Path, device: torch.device
) -> Extractor:
    """The data set's own extractor: from the cache, or trained and cached.

    Args:
        name: ``classifier``, which learns the data set's labels, or ``simclr``, which needs none.
        dataset: whose images it learns.
        train: loads the whole training split; called only where training is needed.
        cache: folder for its weights. A lock in it makes others wait for the one that trains.
        device: where it runs.
    """
    key = sha256(canonical_json([VERSION, dataset.fingerprint, list(dataset.classes)]))[:8]
    path = cache / f"{name}-{dataset.name}-{key}.pt"
    with lock(path.with_suffix(".lock")):
        saved = load_tensors(path)
        if saved is None:
            split = train()
            weights = train_network(name, split, dataset).state_dict()
            saved = {"image_size": split.images.shape[-1], "weights": weights}
            save_tensors(path, saved)
    model = _initial(name, saved["image_size"], dataset)
    model.load_state_dict(saved["weights"])
    checksum = digest(saved["weights"])
    return Extractor(name, DIMENSIONS, checksum, model.to(device).eval(), device, 500)


def train_network(name: str, train: Split, dataset: Dataset) -> _Learner:
    """Train on a whole training split, seeded by the data set's name.

    A thousand steps of Adam at batch 128 with a cosine schedule: two epochs of MNIST. Always on
    the CPU, so that a machine with a GPU gets the same extractor as one without.
    """
    threads = torch.get_num_threads()
    # The order of summation, and so the last digits, depend on the number of threads.
    torch.set_num_threads(_THREADS)
    try:
        return _train(name, train, dataset)
    finally:
        torch.set_num_threads(threads)


def _train(name: str, train: Split, dataset: Dataset) -> _Learner:
    model = _initial(name, train.images.shape[-1], dataset)
    order = torch.Generator().manual_seed(derive_seed(f"{name} order", dataset.name))
    noise = torch.Generator().manual_seed(derive_seed(f"{name} noise", dataset.name))
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        chosen = torch.randint(len(train.images), (_BATCH,), generator=order)
        optimizer.zero_grad()
        images = three_channels(to_float(train.images[chosen]))
        model.loss(images, train.labels[chosen], noise).backward()
        optimizer.step()
        schedule.step()
    return model


def _initial(name: str, image_size: int, dataset: Dataset) -> _Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(name, dataset.name))
        model = _LEARNERS[name](image_size, dataset.classes)
        return model.to(memory_format=torch.channels_last)
