"""The user's own images under a name of their own: ``--dataset idx:FOLDER``, ``images:FOLDER``."""

import contextlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import DATASETS, IDX_FILES, NETWORKS, Dataset, idx
from bench.data.pictures import TAKEN, File, Form, Source
from bench.data.prepared import Task, prepare
from bench.data.splits import split_own
from bench.errors import LONGEST_NAME, BenchError, UsageError, printable, require_name
from bench.screen import say

KINDS = ("idx", "images")
# Nothing here asks for their labels.
_IDX_IMAGES = IDX_FILES[::2]
# Networks of Table 1 by the images that they take: width and height, channels.
_PRESETS = {(size, channels): name for name, (channels, size, _) in NETWORKS.items()}
# How many pictures' headers are read to find the preset that most of them fit.
_LOOKED_AT = 256
# Names of folders that say nothing of what is in them; the folder around them does.
_GENERIC = (
    *("data", "dataset", "idx", "images", "img", "imgs", "photos", "pictures", "raw"),
    *("test", "train", "training"),
)


def declare(
    argument: str,
    cache: Path,
    *,
    make: bool,
    name: str | None = None,
    outputs: Sequence[Path] = (),
) -> Dataset:
    """Declare the user's data.

    Args:
        argument: ``idx:FOLDER``, with the two files of images that MNIST's relatives come in, plain
            or compressed, resized to 32x32; or ``images:FOLDER``, with pictures, or a zip of them,
            whose central squares are resized to the nearest preset of 32x32 grey, 32x32 RGB and
            64x64 RGB. Both may lie in folders below.
        cache: folder for prepared images.
        make: prepare pictures where they are not, see :func:`bench.data.celeba.declare`.
        name: what to call them; after their folder where it is None.
        outputs: folders that the suite writes to, whose pictures are not the user's.

    Raises:
        UsageError: another form of argument, or the name of a declared data set.
        BenchError: a file is missing, cannot be read, or does not fit the others.
    """
    kind, _, folder = argument.partition(":")
    if kind not in KINDS or not folder:
        raise UsageError(f"--dataset takes idx:FOLDER, images:FOLDER or a name, not {argument!r}")
    path = _path(folder).resolve()
    called = _name(path, kind, name)
    if kind == "idx":
        return _idx(path, called)
    return _images(Source(path, tuple(each.resolve() for each in outputs)), cache, called, make)


def _path(written: str) -> Path:
    """A path as a shell reads it, which does not where it follows ``images:``."""
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise BenchError(f"--dataset {written}: {error}; give the whole path") from error


def suggestion(argument: str) -> str:
    """How to name a folder that was given without saying what is in it; empty where it is none."""
    path = _path(argument)
    if not argument or not path.exists():
        return ""
    kind = "idx" if path.is_dir() and idx.find_files(idx.folder_of_files(path)) else "images"
    return f"{kind}:{argument}"


def _name(path: Path, kind: str, asked: str | None) -> str:
    """A name for the data that is not a declared data set's."""
    stem = path.stem if path.is_file() else path.name
    if stem.lower() in _GENERIC:
        stem = f"{path.parent.name}-{stem}"
    words = re.sub(r"[^a-z0-9]+", "-", (asked or stem).lower()).strip("-")
    if asked is not None:
        require_name("data set (--name)", asked)
        if not words:
            raise UsageError(f"--name {asked}: has none of the letters a to z and digits")
    name = words[:LONGEST_NAME].strip("-") or kind
    declared = DATASETS.get(name)
    if declared is None or declared.own:
        return name
    if asked:
        raise UsageError(f"--name {asked}: a data set of the suite has that name; choose another")
    return f"{name}-{kind}"


def _title(path: Path) -> str:
    """Where data came from, for notes: the folder and the one around it."""
    return printable("/".join(path.parts[-2:]).strip("/"))


def _idx(given: Path, name: str) -> Dataset:
    if not given.is_dir():
        raise BenchError(
            f"--dataset: there is no folder {given}; idx: takes a folder with the two files "
            f"{', '.join(_IDX_IMAGES)}, compressed by gzip or not"
        )
    folder = idx.folder_of_files(given)
    found = idx.find_files(folder)
    if missing := [each for each in _IDX_IMAGES if each not in found]:
        raise BenchError(f"--dataset: {folder} has no {', '.join(missing)}")
    train, test = files = [idx.read(found[each]) for each in _IDX_IMAGES]
    shapes = [each.array.shape for each in files]
    sizes = {side for shape in shapes for side in shape[1:]}
    if {len(shape) for shape in shapes} != {3} or len(sizes) > 1 or 0 in sizes:
        raise BenchError(
            f"{folder}: images of the shapes {shapes[0]} and {shapes[1]}; the suite takes squares "
            "of one size in this format, and pictures of any size as images:FOLDER"
        )
    if 0 in (len(train.array), len(test.array)):
        raise BenchError(f"{folder}: one of the two files has no images")
    # EMNIST's pictures are stored column by column.
    turned = found[_IDX_IMAGES[0]].name.lower().startswith("emnist-")
    description = f"{_title(folder)} (idx files), 32x32"
    return Dataset(
        name=name,
        network="mnist",
        description=description + (", EMNIST's pictures turned upright" if turned else ""),
        content={
            "prepare": f"{'transposed, ' if turned else ''}to 32x32, bilinear, antialiased",
            **dict(zip(_IDX_IMAGES, (each.sha256 for each in files), strict=True)),
        },
        train=len(train.array),
        test=len(test.array),
        module="bench.data.mnist",
        folder=str(folder),
        own=True,
    )


def _images(source: Source, cache: Path, name: str, make: bool) -> Dataset:
    path = source.path
    if not path.exists():
        raise BenchError(f"--dataset: there is no {path}")
    files, remark = source.listing()
    if not files:
        raise BenchError(
            f"--dataset: {path} has no pictures{f'; {remark}' if remark else ''}; {TAKEN}"
        )
    size, channels = _preset(source, files)
    train, test, split = split_own(files)
    task = Task(source, train, test, Form(size, channels, "square"), distinct=True)
    if make and remark:
        say(f"{path}: {remark}")
    index = prepare(task, cache, make)
    # What lies unused beside the pictures does not make them others.
    content = {"prepare": task.form.description, "split": split.partition(",")[0]}
    described = [f"{_title(path)} (pictures), {task.form.description}", split]
    return Dataset(
        name=name,
        network=_PRESETS[size, channels],
        description="; ".join(described + (index.remarks if index else [])),
        content=content | ({"pictures": index.digest} if index else {}),
        train=index.train if index else len(train),
        test=index.test if index else len(test),
        module="bench.data.prepared",
        folder=str(task.folder(cache).resolve()),
        own=True,
    )


def _preset(source: Source, files: Sequence[File]) -> tuple[int, int]:
    """Size and channels that most pictures are nearest to, by the headers of some of them."""
    seen: Counter[tuple[int, int]] = Counter()
    for index in np.linspace(0, len(files) - 1, min(len(files), _LOOKED_AT)).astype(int):
        # The preparation names what is broken.
        with contextlib.suppress(Exception), warnings.catch_warnings():
            # See bench.data.decoding.
            warnings.simplefilter("ignore")
            seen[_nearest(source.read(files[index]))] += 1
    if not seen:
        raise BenchError(f"--dataset: no picture in {source.path} can be read; {TAKEN}")
    return seen.most_common(1)[0][0]


def _nearest(content: bytes) -> tuple[int, int]:
    """Size and channels of the preset that a picture is nearest to."""
    with Image.open(io.BytesIO(content)) as image:
        grey = image.mode in ("1", "L", "LA")
        if image.mode in ("P", "PA"):
            colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
            grey = bool((colours == colours[:, :1]).all())
        # Between 32 and 64 the geometric mean decides.
        large = not grey and min(image.size) ** 2 > 32 * 64
        return 64 if large else 32, 1 if grey else 3
