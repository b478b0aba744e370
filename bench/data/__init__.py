"""The data sets: what they are (declared here, nothing heavy imported) and how to load them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError, unknown
from bench.hashing import canonical_json, sha256

if TYPE_CHECKING:
    from bench.data.images import LoadedData


@dataclass(frozen=True)
class Dataset:
    """A data set as it is declared.

    Attributes:
        name: its name in specs, file names and outputs.
        network: the column of the supplement's Table 1 that is trained on it.
        description: what a table says of it.
        content: what fixes its images and labels: checksums or a generator's parameters, and how
            the images are prepared. Never a path. Empty where it is not known before the user's
            files are read, see :mod:`bench.campaign.locate`.
        classes: number of classes of each label; digits have one label, shapes seven. Empty where
            there are no labels.
        train: number of training images.
        test: number of test images.
        module: module with ``load(dataset, data_dir)``, which returns the whole data set.
        folder: where its files are, if that is known beforehand; not part of its identity.
        part_of: the data set that it is a part of, whose tables it may stand in.
        finder: module with ``locate`` for files that can come in several forms.
        own: whether it is the user's own, declared by ``--dataset`` and not here.
    """

    name: str
    network: str
    description: str
    content: Mapping[str, str | int]
    classes: tuple[int, ...]
    train: int
    test: int
    module: str
    folder: str = ""
    part_of: str = ""
    finder: str = ""
    own: bool = False

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what fixes the content, in hex; part of a run's identity."""
        return sha256(canonical_json([self.content, self.train, self.test]))

    def load(self, data_dir: Path) -> LoadedData:
        """Load both splits, verified.

        Args:
            data_dir: folder with the user's files, and for downloads.

        Raises:
            BenchError: no source has the data, or a file is not what it should be.
        """
        return importlib.import_module(self.module).load(self, data_dir)


_RESIZED = "28x28 to 32x32, bilinear, antialiased"

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="mnist",
            network="mnist",
            description="MNIST resized to 32x32",
            # Of the uncompressed idx files.
            content={
                "train-images-idx3-ubyte": (
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
                ),
                "train-labels-idx1-ubyte": (
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
                ),
                "t10k-images-idx3-ubyte": (
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
                ),
                "t10k-labels-idx1-ubyte": (
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
                ),
                "prepare": _RESIZED,
            },
            classes=(10,),
            train=60_000,
            test=10_000,
            module="bench.data.mnist",
        ),
        Dataset(
            name="mnist-sample",
            network="mnist",
            description="embedded sample of MNIST (1,024 train, 512 test digits) resized to 32x32",
            content={
                "train-images-idx3-ubyte": (
                    "f97c8cbb8f1ea773258a0d7bdab67bce0d5229cad236863c1b4287092297e5a8"
                ),
                "train-labels-idx1-ubyte": (
                    "a99aaa92d635b763fa053a735f38ba707eddb6295f19988478a10c3f6a56fdcc"
                ),
                "t10k-images-idx3-ubyte": (
                    "9d573bf61bb651469c2e01ffc42d32220e2eed3c8991e7148223c2a05698ae86"
                ),
                "t10k-labels-idx1-ubyte": (
                    "2e5d96fa21a97a70e391239479319e3587978aa81a855c2a879c31d76768bcec"
                ),
                "prepare": _RESIZED,
            },
            classes=(10,),
            train=1_024,
            test=512,
            module="bench.data.mnist",
            part_of="mnist",
            folder=str(Path(__file__).parent / "sample"),
        ),
        Dataset(
            name="shape",
            network="shape",
            description="generated circles and squares, 32x32 RGB (section 1.1)",
            content={"generator": "shape", "version": 1, "seed": 0},
            # Kind, size 3-8, x and y 8-24, and each colour channel in eight bins.
            classes=(2, 6, 17, 17, 8, 8, 8),
            train=50_000,
            test=10_000,
            module="bench.data.shapes",
        ),
        Dataset(
            name="celeba",
            network="celeba",
            description="CelebA, centre-cropped to 148x148 and resized to 64x64",
            content={},
            classes=(),
            train=162_770,
            test=19_962,
            module="bench.data.prepared",
            finder="bench.data.celeba",
        ),
        Dataset(
            name="celeba-10k",
            network="celeba",
            description=(
                "CelebA's training pictures 1 to 10,000 at half size (89x109), the central 74x74 "
                "resized to 64x64"
            ),
            content={},
            classes=(),
            train=8_000,
            test=2_000,
            module="bench.data.prepared",
            part_of="celeba",
            finder="bench.data.celeba",
        ),
        Dataset(
            name="toyfaces",
            network="celeba",
            description="toy faces, not photographs: drawn from 12 independent factors, 64x64 RGB",
            content={"generator": "toyfaces", "version": 1, "seed": 0},
            # Every factor in eight bins.
            classes=(8,) * 12,
            train=16_384,
            test=4_096,
            module="bench.data.toyfaces",
        ),
    )
}


def register_dataset(new: Dataset, *, replace: bool = False) -> None:
    """Make a data set known under its name.

    Args:
        new: its declaration.
        replace: take the place of another of that name: of one that was found again.

    Raises:
        UsageError: another one has that name, and is not to be replaced.
    """
    if not replace and DATASETS.get(new.name, new) != new:
        raise UsageError(f"a data set named {new.name!r} exists already; choose another name")
    DATASETS[new.name] = new


def dataset(name: str) -> Dataset:
    """Look a data set up by name; an unknown one raises UsageError with the nearest names."""
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]
