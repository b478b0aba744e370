"""Which extractors' measurements count: by the checksums of weights that are not loaded here."""

from __future__ import annotations

import json
from pathlib import Path

from bench.data import Dataset
from bench.errors import UsageError
from bench.evaluation import weights
from bench.files import write_bytes
from bench.hashing import canonical_json, sha256

# Raised when anything changes what the features of an extractor are that is trained here.
VERSION = 2


# Classifiers that come with the package, by data set: SHA-256 of their files, see docs/usage.md.
SHIPPED = {
    "mnist": "bc9b84f1a020b1a923c511a85f76787808caf7cfcf1c6ebca987620c69457191",
    "shape": "54e1d84a18e97fa06bda29bbc8edae71a92f0551ec39748e30a0e60b1eff143e",
}


def shipped_file(dataset: Dataset) -> Path | None:
    """The classifier that the package ships for a data set, or for the one that it is a part of."""
    name = dataset.part_of or dataset.name
    if dataset.own or name not in SHIPPED:
        return None
    return Path(__file__).parent / "pinned" / f"classifier-{name}.pt"


def shipped_checksum(dataset: Dataset) -> str:
    """SHA-256 that the shipped classifier's file must have.

    Raises:
        UsageError: none is shipped for these data.
    """
    if shipped_file(dataset) is None:
        raise UsageError(
            f"--features classifier: none is shipped for {dataset.name}; use classifier-local, "
            "which is trained here"
        )
    return SHIPPED[dataset.part_of or dataset.name]


def own_extractor(dataset: Dataset) -> str:
    """The extractor of a data set's own, where Inception is not at hand or not asked for."""
    if shipped_file(dataset) is not None:
        return "classifier"
    return "classifier-local" if dataset.classes else "simclr-local"


def expected_checksum(features: str, dataset: Dataset, cache: Path) -> str:
    """The first digits of the checksum of an extractor's weights.

    Args:
        features: name of the extractor, see :data:`bench.experiments.spec.EXTRACTORS`.
        dataset: the data that it looks at.
        cache: folder of the extractors that were trained here.

    Returns:
        Hex digits; empty for an extractor that is trained on the machine at hand and was not yet.

    Raises:
        UsageError: ``classifier`` for data that none is shipped for.
    """
    if features == "inception":
        return weights.SHA256_PREFIX
    if features == "classifier":
        return shipped_checksum(dataset)
    try:
        return str(json.loads(_note(features, dataset, cache).read_text())["checksum"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def local_path(features: str, dataset: Dataset, cache: Path) -> Path:
    """Where an extractor's weights are that is trained on this machine."""
    key = sha256(canonical_json([VERSION, dataset.fingerprint, list(dataset.classes)]))[:8]
    return cache / f"{features}-{dataset.name}-{key}.pt"


def note_checksum(features: str, dataset: Dataset, cache: Path, checksum: str) -> None:
    """Note the checksum of weights beside them, where it is found without loading them."""
    note = _note(features, dataset, cache)
    content = f"{json.dumps({'checksum': checksum})}\n".encode()
    if not note.is_file() or note.read_bytes() != content:
        write_bytes(note, content)


def _note(features: str, dataset: Dataset, cache: Path) -> Path:
    return local_path(features, dataset, cache).with_suffix(".json")
