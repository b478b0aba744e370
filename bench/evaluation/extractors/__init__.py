"""The extractors: networks that images are looked at through, each pinned by its weights' SHA-256.

Each is a file of its own; one of your own is registered, not added here. What is declared imports
nothing heavy, so that plans and tables do without PyTorch.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data import Dataset
from bench.errors import UsageError, unknown
from bench.evaluation.extractors import inception_weights

if TYPE_CHECKING:
    import torch

# In the order in which tables show them.
EXTRACTORS = ("inception", "imagenet", "classifier")
# The classifiers that come with the package, by data set: SHA-256 of their files.
_CLASSIFIERS = {
    "mnist": "bc9b84f1a020b1a923c511a85f76787808caf7cfcf1c6ebca987620c69457191",
    "shape": "54e1d84a18e97fa06bda29bbc8edae71a92f0551ec39748e30a0e60b1eff143e",
}


# Float images (n, 3, height, width) in [0, 1] to features (n, dimensions).
Network = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class ExtractorSpec:
    """An extractor as it is declared.

    Attributes:
        name: value of ``--features``, and its name in records and tables.
        description: what it is, for notes below tables.
        dimensions: number of features.
        checksum: SHA-256 of its weights, in hex; numbers of other weights are never mixed in.
        load: builds the network on a device.
        batch_size: images that go through it at once.
    """

    name: str
    description: str
    dimensions: int
    checksum: str
    load: Callable[[torch.device], Network]
    batch_size: int


_REGISTERED: dict[str, ExtractorSpec] = {}


def extractor_spec(name: str, data: Dataset, fid_weights: Path | None = None) -> ExtractorSpec:
    """Look an extractor up.

    Args:
        name: of an extractor.
        data: the data set that it looks at.
        fid_weights: Inception's weights file, where one was given.

    Raises:
        UsageError: an unknown name (the nearest are named), or no classifier is shipped for these
            data.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name == "inception":
        load = functools.partial(_load, "inception", fid_weights)
        return ExtractorSpec(name, "Inception", 2048, inception_weights.SHA256, load, 50)
    if name == "imagenet":
        checksum = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
        load = functools.partial(_load, "imagenet", checksum)
        # Of more images, the maps within the network leave a CPU's caches.
        return ExtractorSpec(name, "EfficientNet-Lite0 of ImageNet", 1280, checksum, load, 8)
    if name == "classifier":
        source = data.part_of or data.name
        if not has_classifier(data):
            raise UsageError(
                f"--features classifier: none is shipped for {data.name}; use --features imagenet"
            )
        load = functools.partial(_load, "classifier", source, _CLASSIFIERS[source])
        described = f"the classifier of {source} that the suite ships"
        return ExtractorSpec(name, described, 128, _CLASSIFIERS[source], load, 500)
    raise unknown("extractor", name, [*EXTRACTORS, *_REGISTERED])


def _load(module: str, *arguments: object) -> Network:
    return importlib.import_module(f"{__name__}.{module}").load(*arguments)


def has_classifier(data: Dataset) -> bool:
    """Whether a classifier is shipped for a data set, or for the one that it is a part of."""
    return not data.own and (data.part_of or data.name) in _CLASSIFIERS


def general_extractor(fid_weights: Path | None = None) -> str:
    """What ``auto`` means: Inception where its weights are at hand, else ``imagenet``."""
    return "inception" if inception_weights.at_hand(fid_weights) else "imagenet"


def expected_checksum(name: str, data: Dataset) -> str | None:
    """SHA-256 that an extractor's weights must have; None where there is no such extractor here."""
    try:
        return extractor_spec(name, data).checksum
    except UsageError:
        return None


def in_order(name: str) -> tuple[int, str]:
    """Sort key of extractors: as declared, then those of the user's own by name."""
    return (EXTRACTORS.index(name) if name in EXTRACTORS else len(EXTRACTORS), name)


def register_extractor(new: ExtractorSpec) -> None:
    """Make an extractor known under its name.

    Raises:
        UsageError: another extractor has that name.
    """
    if new.name in EXTRACTORS or _REGISTERED.get(new.name, new) != new:
        raise UsageError(f"an extractor named {new.name!r} exists already; choose another name")
    _REGISTERED[new.name] = new
