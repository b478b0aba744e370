"""Pictures and idx files that tests write for themselves, and how the suite declares them."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import DATASETS, IDX_FILES, Dataset, celeba, dataset, register_dataset
from bench.data.images import LoadedData
from bench.data.own import declare

SAMPLE_FOLDER = Path(DATASETS["mnist-sample"].folder)


def place_idx(folder: Path, compressed: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in IDX_FILES:
        content = (SAMPLE_FOLDER / f"{name}.gz").read_bytes()
        if compressed:
            (folder / f"{name}.gz").write_bytes(content)
        else:
            (folder / name).write_bytes(gzip.decompress(content))


def picture(path: Path, seed: int, size: int = 40, mode: str = "RGB") -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def pictures(folder: Path, count: int = 40) -> None:
    for index in range(count):
        picture(folder / f"{index:03d}.png", index)


def declared(folder: Path, cache: Path, kind: str = "images", **options: object) -> Dataset:
    return declare(f"{kind}:{folder}", cache, make=True, **options)  # type: ignore[arg-type]


def idx_content(name: str) -> bytes:
    return gzip.decompress((SAMPLE_FOLDER / f"{name}.gz").read_bytes())


COUNT = 60


def photograph(
    path: Path, seed: int, size: tuple[int, int] = (178, 218), mode: str = "RGB"
) -> None:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)


def _part(index: int) -> int:
    return 0 if index < 40 else 1 if index < 46 else 2


def write_celeba(root: Path) -> Path:
    """CelebA as torchvision lays it out, of sixty pictures."""
    folder = root / "celeba"
    names = [f"{index + 1:06d}.jpg" for index in range(COUNT)]
    for index, name in enumerate(names):
        photograph(folder / "img_align_celeba" / name, index)

    def table(name: str, rows: Sequence[Sequence[object]], *heading: str) -> None:
        lines = [f"{n} {' '.join(map(str, row))}" for n, row in zip(names, rows, strict=True)]
        (folder / name).write_text("\n".join([*heading, *lines]) + "\n")

    table("list_eval_partition.txt", [[_part(i)] for i in range(COUNT)])
    # torchvision reads the other lists, too.
    table("list_attr_celeba.txt", [[1, -1]] * COUNT, str(COUNT), "smiling young")
    table("identity_CelebA.txt", [[i] for i in range(COUNT)])
    table("list_bbox_celeba.txt", [[1, 2, 3, 4]] * COUNT, str(COUNT), "x_1 y_1 width height")
    marks = " ".join(f"mark_{i}" for i in range(10))
    table("list_landmarks_align_celeba.txt", [[0] * 10] * COUNT, str(COUNT), marks)
    return root


def declare_celeba(data_dir: Path, cache: Path) -> Dataset:
    found = celeba.declare(dataset("celeba"), data_dir, cache, make=True)
    assert found is not None
    return found


def checksums(data: LoadedData) -> tuple[str, str]:
    return data.train.checksum, data.test.checksum


def loaded(found: Dataset) -> LoadedData:
    register_dataset(found, replace=True)
    return dataset(found.name).load(Path("elsewhere"))
