"""The extractors: networks whose features FIDs compare, each pinned by its weights' SHA-256.

Each is a file of its own, which is imported only when it is loaded, so that plans and tables need
no PyTorch. A user registers further ones from a plugin.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data import Dataset
from bench.errors import UsageError, register, require_name, unknown
from bench.evaluation.extractors import inception_weights
from bench.hashing import sha256

if TYPE_CHECKING:
    import torch

# Tables show them in this order.
EXTRACTORS = ("inception", "imagenet", "classifier")
_IMAGENET = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# SHA-256 of the shipped classifiers' files, by data set.
_CLASSIFIERS = {
    "mnist": "bc9b84f1a020b1a923c511a85f76787808caf7cfcf1c6ebca987620c69457191",
    "shape": "54e1d84a18e97fa06bda29bbc8edae71a92f0551ec39748e30a0e60b1eff143e",
}


# Maps float images (n, 3, height, width) in [0, 1] to features (n, dimensions).
Network = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class _Loader:
    """Loads a network of the suite's own; equal ones load the same, as partials would not be."""

    module: str
    arguments: tuple[object, ...]

    def __call__(self, device: torch.device) -> Network:
        module = importlib.import_module(f"{__name__}.{self.module}")
        network: Network = module.load(*self.arguments, device)
        return network


@dataclass(frozen=True)
class DeclaredExtractor:
    """An extractor as it is declared, before its network is loaded.

    Attributes:
        name: its name for ``--extractor``, and in records and tables.
        description: what it is, for notes below tables.
        dimensions: number of features.
        checksum: SHA-256 of its weights, in hex; numbers of other weights are never mixed in.
        load: builds the network on a device.
        batch_size: number of images that go through it at once.
        source: SHA-256 of the plugin that registered it, which fills it in.
    """

    name: str
    description: str
    dimensions: int
    checksum: str
    load: Callable[[torch.device], Network]
    batch_size: int
    source: str = ""

    @property
    def identity(self) -> str:
        """What tells its numbers apart from others': weights, and code of the user's own."""
        return sha256(self.checksum + self.source) if self.source else self.checksum


REGISTERED_EXTRACTORS: dict[str, DeclaredExtractor] = {}


def declared_extractor(
    name: str, data: Dataset, fid_weights: Path | None = None
) -> DeclaredExtractor:
    """Look up an extractor for the images of a data set.

    Raises:
        UsageError: there is no such extractor (the message has the nearest names), or no classifier
            is shipped for these data.
    """
    if name in REGISTERED_EXTRACTORS:
        return REGISTERED_EXTRACTORS[name]
    if name == "inception":
        load = _Loader(name, (fid_weights,))
        return DeclaredExtractor(name, "Inception", 2048, inception_weights.SHA256, load, 50)
    if name == "imagenet":
        load = _Loader(name, (_IMAGENET,))
        # With more images at once, the network's maps do not fit a CPU's caches.
        return DeclaredExtractor(name, "EfficientNet-Lite0 of ImageNet", 1280, _IMAGENET, load, 4)
    if name == "classifier":
        if not has_classifier(data):
            raise UsageError(
                f"--extractor classifier: none is shipped for {data.name}; use --extractor imagenet"
            )
        source = data.part_of or data.name
        checksum = _CLASSIFIERS[source]
        load = _Loader(name, (source, checksum))
        described = f"the classifier of {source} that the suite ships"
        return DeclaredExtractor(name, described, 128, checksum, load, 500)
    raise unknown("extractor", name, [*EXTRACTORS, *REGISTERED_EXTRACTORS])


def has_classifier(data: Dataset) -> bool:
    """Whether a classifier is shipped for a data set, or for the one that it is a part of."""
    return not data.own and (data.part_of or data.name) in _CLASSIFIERS


def general_extractor(fid_weights: Path | None = None) -> str:
    """What ``auto`` stands for: Inception where its weights are at hand, else ``imagenet``."""
    return "inception" if inception_weights.at_hand(fid_weights) else "imagenet"


def expected_identity(name: str, data: Dataset) -> str | None:
    """The identity that an extractor has now; None where there is no such extractor."""
    try:
        return declared_extractor(name, data).identity
    except UsageError:
        return None


def in_order(name: str) -> tuple[int, str]:
    """Sort key by name: the suite's extractors in their order, then the user's by name."""
    return (EXTRACTORS.index(name) if name in EXTRACTORS else len(EXTRACTORS), name)


def register_extractor(new: DeclaredExtractor) -> None:
    """Add an extractor, so that ``--extractor`` can name it.

    Raises:
        UsageError: another extractor has that name.
    """
    require_name("extractor", new.name)
    register(REGISTERED_EXTRACTORS, "an extractor", new.name, new, EXTRACTORS)
