import errno
import fcntl
import multiprocessing
import os
import stat
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.files import atomic, lock, set_aside, write_bytes, write_text


def _write_and_fail(path: Path, content: bytes) -> None:
    with atomic(path) as file:
        file.write(content)
        raise RuntimeError


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with pytest.raises(RuntimeError):
        _write_and_fail(path, b"half")
    assert list(path.parent.iterdir()) == []
    write_bytes(path, b"first")
    with pytest.raises(RuntimeError):
        _write_and_fail(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write"):
        write_bytes(tmp_path / "file" / "below", b"")
    with pytest.raises(BenchError, match="cannot write"), lock(tmp_path / "file" / "lock"):
        pass


def _hold_until_killed(path: str, pipe: Connection) -> None:
    with lock(Path(path)):
        pipe.send("held")
        pipe.recv()


def test_a_lock_is_exclusive_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "lock"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold_until_killed, args=(str(path), theirs))
    holder.start()
    assert ours.recv() == "held"
    with lock(path, wait=False) as held:
        assert not held
    holder.kill()
    holder.join()
    with lock(path, wait=False) as held:
        assert held


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", list[str]()

    def second() -> None:
        with lock(path) as held:
            order.append(f"second {held}")

    with lock(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join()
    assert order == ["first", "second True"]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK])
def test_a_disk_that_locks_no_files_is_named_once_and_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for name in ("a.lock", "b.lock"):
        with lock(tmp_path / name) as held:
            assert held
    (warning,) = caplog.messages
    assert (
        warning
        == f"{tmp_path}: the disk locks no files ({os.strerror(number)}); going on without locks"
    )


def test_a_lock_that_fails_otherwise_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(BenchError, match=r"cannot lock .*a\.lock: Input/output error"),
        lock(tmp_path / "a.lock"),
    ):
        pass


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_are_as_readable_as_the_umask_has_them(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.md", "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.md").stat().st_mode) == mode


def test_what_was_set_aside_before_is_not_lost(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_bytes(tmp_path / "a.pt", content)
        set_aside(tmp_path / "a.pt", "damaged")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"first", b"second"}
