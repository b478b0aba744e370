"""The data sets: what they are (declared here, nothing heavy imported) and how to load them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, UsageError, naming, require_name, unknown
from bench.hashing import canonical_json, sha256

if TYPE_CHECKING:
    from bench.data.images import LoadedData


# Columns of the supplement's Table 1, and the images that they take: channels, height, width.
NETWORKS = {"shape": (3, 32, 32), "mnist": (1, 32, 32), "celeba": (3, 64, 64)}


@dataclass(frozen=True)
class Dataset:
    """A data set as it is declared.

    Attributes:
        name: its name in specs, file names and outputs.
        network: the column of the supplement's Table 1 that is trained on it.
        description: what a table says of it.
        content: what fixes its images and labels: checksums or a generator's parameters, and how
            the images are prepared. Never a path. Empty where only the user's files tell it, see
            :mod:`bench.campaign.locate`.
        classes: number of classes of each label; digits have one label, shapes seven. Empty where
            there are no labels.
        module: module with ``load(dataset, data_dir)``, which returns the whole data set.
        folder: where its files are, if that is declared too; not part of its identity.
        part_of: the data set that it is a part of, whose tables it may stand in.
        finder: module with ``declare``, for files that can come in several forms.
        own: whether it is the user's own, declared by ``--dataset`` and not here.
        source: SHA-256 of the plugin that registered it, which fills it in.
    """

    name: str
    network: str
    description: str
    train: int
    test: int
    module: str
    content: Mapping[str, str | int] = field(default_factory=dict, hash=False)
    classes: tuple[int, ...] = ()
    folder: str = ""
    part_of: str = ""
    finder: str = ""
    own: bool = False
    source: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what fixes the content, in hex; part of a run's identity."""
        source = [self.source] if self.source else []
        return sha256(canonical_json([self.content, self.train, self.test, *source]))

    def load(self, data_dir: Path) -> LoadedData:
        """Load both splits, verified, from a folder with the user's files and downloads.

        Raises:
            BenchError: no source has the data, a file is not what it should be, or a plugin's code
                failed, or loads others than it declares.
        """
        with naming(f"data set {self.name}", MemoryError):
            loaded: LoadedData = importlib.import_module(self.module).load(self, data_dir)
            for part, count in (("train", self.train), ("test", self.test)):
                images = getattr(loaded, part).images
                found = f"{images.dtype} {tuple(images.shape)}"
                expected = f"torch.uint8 {(count, *NETWORKS[self.network])}"
                if found != expected:
                    raise BenchError(
                        f"data set {self.name}: {part} images are {found}, where {expected} is "
                        f"declared, for the network {self.network}"
                    )
        return loaded


# The files that MNIST and its relatives come in.
IDX_FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)


def _mnist(*sha256_of_files: str) -> dict[str, str]:
    """Content of MNIST, by the SHA-256 of its four files' uncompressed bytes."""
    files = zip(IDX_FILES, sha256_of_files, strict=True)
    return {**dict(files), "prepare": "28x28 to 32x32, bilinear, antialiased"}


# Kind, size 3-8, x and y 8-24, and each colour channel in eight bins.
_SHAPE_CLASSES = (2, 6, 17, 17, 8, 8, 8)

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="mnist",
            network="mnist",
            description="MNIST resized to 32x32",
            content=_mnist(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            classes=(10,),
            train=60_000,
            test=10_000,
            module="bench.data.mnist",
        ),
        Dataset(
            name="mnist-sample",
            network="mnist",
            description="embedded sample of MNIST (1,024 train, 512 test digits) resized to 32x32",
            content=_mnist(
                "f97c8cbb8f1ea773258a0d7bdab67bce0d5229cad236863c1b4287092297e5a8",
                "a99aaa92d635b763fa053a735f38ba707eddb6295f19988478a10c3f6a56fdcc",
                "9d573bf61bb651469c2e01ffc42d32220e2eed3c8991e7148223c2a05698ae86",
                "2e5d96fa21a97a70e391239479319e3587978aa81a855c2a879c31d76768bcec",
            ),
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
            classes=_SHAPE_CLASSES,
            train=50_000,
            test=10_000,
            module="bench.data.shapes",
        ),
        Dataset(
            name="celeba",
            network="celeba",
            description="CelebA, centre-cropped to 148x148 and resized to 64x64",
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
            train=8_000,
            test=2_000,
            module="bench.data.prepared",
            part_of="celeba",
            finder="bench.data.celeba",
        ),
        Dataset(
            name="shape-64",
            network="celeba",
            description="generated circles and squares, not photographs, enlarged to 64x64 RGB",
            content={"generator": "shape", "version": 1, "seed": 0, "enlarged": 2},
            classes=_SHAPE_CLASSES,
            train=16_384,
            test=4_096,
            module="bench.data.shapes",
        ),
    )
}


def register_dataset(new: Dataset, *, replace: bool = False) -> None:
    """Register a data set under its name, or replace another one, as the same data found again.

    Raises:
        UsageError: another one has that name, and is not to be replaced; or no such network.
        BenchError: its content is no JSON.
    """
    require_name("data set", new.name)
    if new.network not in NETWORKS:
        raise unknown(f"network of the data set {new.name}", new.network, NETWORKS)
    with naming(f"content of the data set {new.name}"):
        _ = new.fingerprint
    if not replace and DATASETS.get(new.name, new) != new:
        raise UsageError(f"a data set named {new.name!r} exists already; choose another name")
    DATASETS[new.name] = new


def dataset(name: str) -> Dataset:
    """Look a data set up by name; an unknown one raises UsageError with the nearest names."""
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]
