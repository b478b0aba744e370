import io
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.data.pictures import BadPictureError, File, Source
from bench.data.splits import split_by_hash, split_own
from bench.errors import BenchError
from tests.support.pictures import declare_celeba, declared, photograph, picture, pictures


def test_only_the_users_own_pictures_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside them: what editors, cameras, git-annex and the suite itself leave in a folder."""
    pictures(tmp_path / "data")
    whole = declared(tmp_path / "data", tmp_path / "a")
    capsys.readouterr()
    for place in (".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "runs/x/samples"):
        pictures(tmp_path / "data" / place, 50)
    (tmp_path / "data" / "notes.txt").write_text("not a picture")
    annexed = tmp_path / "data" / ".git" / "annex" / "key.png"
    annexed.parent.mkdir(parents=True)
    (tmp_path / "data" / "000.png").rename(annexed)
    (tmp_path / "data" / "000.png").symlink_to(annexed)
    outputs = [tmp_path / "data" / "runs"]
    cluttered = declared(tmp_path / "data", tmp_path / "b", outputs=outputs)
    assert cluttered.content == whole.content
    assert capsys.readouterr().err.splitlines()[0] == (
        f"{tmp_path}/data: passed over 7 that are hidden, the suite's or no pictures (.git, "
        ".ipynb_checkpoints, .thumbnails, ...)"
    )


def test_a_zip_that_was_written_on_windows_is_split_by_its_folders(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    content = (tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name in ("train/a.png", "train/b.png", "test/c.png", "__MACOSX/d.png", "x/.e.png"):
            archive.writestr(name.replace("/", "\\"), content)
    source = Source(tmp_path / "data.zip")
    train, test, _ = split_own(source.listing().files)
    assert [file.name for file in train] == ["train/a.png", "train/b.png"]
    assert [source.read(file) for file in test] == [content]
    assert "(__MACOSX/d.png, x/.e.png)" in source.listing().remark


def test_links_to_pictures_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    photograph(tmp_path / "elsewhere" / "a.png", 0)
    photograph(tmp_path / "data" / "b.png", 0)
    (tmp_path / "data" / "a.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "data" / "below").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "data" / "._b.png").write_bytes(b"not a picture")
    files, remark = Source(tmp_path / "data").listing()
    assert [file.name for file in files] == ["a.png", "b.png"]
    assert remark.endswith("(._b.png, below, dead.png)")


def test_a_zip_with_a_broken_member_lacks_that_member(tmp_path: Path) -> None:
    for index in range(150):
        photograph(tmp_path / "pictures" / f"{index:03d}.png", index, (89, 109))
    train, test = split_by_hash(Source(tmp_path / "pictures").listing().files, str)
    path = tmp_path / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (*train, *test):
            archive.write(tmp_path / "pictures" / file.name, file.name)
        start = archive.getinfo(train[5].name).header_offset
    content = bytearray(path.read_bytes())
    content[start + 500] ^= 1
    path.write_bytes(bytes(content))
    found = declare_celeba(tmp_path, tmp_path / "cache")
    assert (found.train, found.test) == (len(train) - 1, len(test))
    assert f"1 bad pictures left out ({train[5].name})" in found.description
    # Half of it, and one whose list names a version of the format that zipfile does not know.
    listed = content.index(b"PK\1\2")
    strange = content[: listed + 6] + b"\xff" + content[listed + 7 :]
    for broken in (content[: len(content) // 2], strange):
        path.write_bytes(bytes(broken))
        with pytest.raises(BenchError, match="cannot be read"):
            declare_celeba(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "a/../../outside.png"])
def test_members_of_an_archive_stay_in_it(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr(name, buffer.getvalue())
    before = set(tmp_path.rglob("*"))
    source = Source(tmp_path / "pictures.zip")
    (file,) = source.listing().files
    assert source.read(file) == buffer.getvalue()
    assert set(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "outside.png").exists()


def test_a_zip_with_absolute_and_relative_names_is_split() -> None:
    names = ("/a/train/1.png", "a/train/2.png", "a/test/3.png")
    files = [File(name, 1, 0) for name in names]
    train, test, _ = split_own(files)
    assert ([file.name for file in train], [file.name for file in test]) == (
        list(names[:2]),
        [names[2]],
    )


def test_a_zip_that_was_written_anew_lacks_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"a")
    with pytest.raises(BadPictureError, match="cannot be read"):
        Source(path).read(File("b.png", 1, 0))


def test_a_member_is_read_as_far_as_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(100 * 10**6))
    content = path.read_bytes()
    # The size in the member's header and in the list of members.
    forged = content.replace(struct.pack("<I", 100 * 10**6), struct.pack("<I", 1_000))
    assert forged != content
    path.write_bytes(forged)
    source = Source(path)
    (file,) = source.listing().files
    tracemalloc.start()
    with pytest.raises(BadPictureError):
        source.read(file)
    assert tracemalloc.get_traced_memory()[1] < 5 * 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_names_and_splits_are_the_same_in_every_locale(
    tmp_path: Path, zipped: bool, flag: bool
) -> None:
    """A zip's names are UTF-8 where they have a flag that says so, and code page 437 elsewhere."""
    names = ["été/é.png", "日/本.png"] if flag else ["été/é.png", "ü/ß.png"]
    source = tmp_path / ("data.zip" if zipped else "data")
    content = picture(tmp_path / "a.png", 0).read_bytes()
    if zipped:
        stored = [name.encode("utf-8" if flag else "cp437") for name in names]
        placeholders = [str(number) * len(name) for number, name in enumerate(stored)]
        with zipfile.ZipFile(source, "w") as archive:
            for name, placeholder in zip(names, placeholders, strict=True):
                archive.writestr(name if flag else placeholder, content)
        whole = source.read_bytes()
        for encoded, placeholder in zip(stored, placeholders, strict=True):
            whole = whole.replace(placeholder.encode(), encoded)
        source.write_bytes(whole)
    else:
        for name in names:
            (source / name).parent.mkdir(parents=True)
            (source / name).write_bytes(content)
    program = (
        "import sys; from pathlib import Path; from bench.data.pictures import Source; "
        "from bench.data.splits import split_own; source = Source(Path(sys.argv[1])); "
        "files = source.listing().files; split = split_own(files); "
        "print(ascii([[f.name for f in part] for part in split[:2]]), "
        "len({source.read(f) for f in files}))"
    )
    answers = set()
    for locale, utf8 in (("C.UTF-8", "1"), ("C", "0"), ("POSIX", "0")):
        environment = {**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"}
        answers.add(
            subprocess.run(
                [sys.executable, "-X", f"utf8={utf8}", "-c", program, str(source)],
                env=environment,
                check=True,
                capture_output=True,
            ).stdout
        )
    (answer,) = answers
    assert answer.endswith(b"1\n")


def _tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(picture(path.parent / "a.png", 0))


def _other_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"")
        archive.writestr("IMG_1.HEIC", b"")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("data.zip", lambda path: path.write_bytes(b"<html>Sign in</html>")),
        ("data.tar.gz", _tar),
        ("data.npz", _other_members),
        ("data.parquet", lambda path: path.write_bytes(b"PAR1")),
        ("a.png", lambda path: picture(path, 0)),
    ],
)
def test_what_is_neither_folder_nor_zip_of_pictures_is_told_what_is_taken(
    tmp_path: Path, name: str, write: Callable[[Path], object]
) -> None:
    write(tmp_path / name)
    with pytest.raises(
        BenchError, match=r"from a folder or a zip, with the endings \.jpg"
    ) as caught:
        declared(tmp_path / name, tmp_path / "cache")
    assert f"{tmp_path / name}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
