"""Preparing CelebA against torchvision's transforms in a DataLoader, on as many cores.

As many pictures as CelebA's training and test splits have: JPEGs of its size, generated, of about
its 7 kB. The baseline only reads batches; the suite also hashes every file, writes the prepared
images to the disk and hashes them.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from bench.data.celeba import FORM
from bench.data.pictures import Source
from bench.data.prepared import Task, prepare
from bench.data.shapes import generate
from bench.machine import core_count
from benchmarks.report import compare, options, write_comparisons


class Folder(TorchDataset):  # type: ignore[type-arg]
    """A folder of pictures, as users of torchvision read one."""

    def __init__(self, folder: Path) -> None:
        """List the pictures."""
        self.paths = sorted(folder.iterdir())
        self.transform = transforms.Compose(
            [transforms.CenterCrop(148), transforms.Resize(64), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.paths)

    def __getitem__(self, index: int) -> object:
        """A prepared picture, float (3, 64, 64)."""
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def make_pictures(folder: Path, different: int, count: int) -> None:
    """Write JPEGs of 178x218; each of ``different`` ones is there under several names."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    faces = generate(different, seed=0, enlarged=2).images.permute(0, 2, 3, 1).numpy()
    for index, face in enumerate(faces):
        large = Image.fromarray(face).resize((178, 218), Image.Resampling.BICUBIC)
        noisy = np.asarray(large) + rng.normal(0, 6, (218, 178, 1))
        path = folder / f"{index:06d}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=80)
    for index in range(different, count):
        (folder / f"{index:06d}.jpg").hardlink_to(folder / f"{index % different:06d}.jpg")


def main() -> None:
    """Print the ratio, and write it."""
    arguments = options(__doc__, "preparation", pictures=162_770 + 19_962, rounds=3)
    count, cores = arguments.pictures, core_count()
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name) / "pictures", Path(name) / "cache"
        cache.mkdir()
        make_pictures(folder, min(count, 2_000), count)
        size = sum(path.stat().st_size for path in folder.iterdir()) / count
        files = Source(folder).listing().files
        task = Task(Source(folder), files[: -count // 10], files[-count // 10 :], FORM)

        def baseline() -> None:
            loader = DataLoader(Folder(folder), batch_size=256, num_workers=cores)
            assert sum(len(batch) for batch in loader) == count  # noqa: S101 - all were read

        def suite() -> None:
            # A cache for each round: one that is there is kept.
            prepare(task, Path(tempfile.mkdtemp(dir=cache)))

        title = f"{count:,} pictures of {size / 1000:.1f} kB on {cores} cores"
        result = compare(
            title,
            "pictures/s",
            work=count,
            baseline=baseline,
            suite=suite,
            rounds=arguments.rounds,
        )
    print(result.line())
    write_comparisons(arguments.out, [result], cores)


if __name__ == "__main__":
    main()
