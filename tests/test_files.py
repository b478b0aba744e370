from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.files import atomic, lock, write_bytes


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
