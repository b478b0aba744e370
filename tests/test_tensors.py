import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.errors import BenchError
from bench.tensors import load_state, load_tensors, save_state, save_tensors, state_sha256


def test_tensors_come_back_or_count_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "tensors.pt"
    value = {"a": torch.arange(6.0).reshape(2, 3), "n": 3}
    assert load_tensors(path) is None
    save_tensors(path, value)
    loaded = load_tensors(path)
    assert loaded is not None
    assert torch.equal(loaded["a"], value["a"])  # type: ignore[arg-type]
    content = path.read_bytes()
    for damaged in (content[:-1], content[:50], b"", content[:-9] + b"x" + content[-8:]):
        path.write_bytes(damaged)
        assert load_tensors(path) is None


def test_digest_sees_names_and_values() -> None:
    a, b = torch.zeros(3), torch.ones(3)
    digests = [state_sha256(s) for s in ({"a": a}, {"b": a}, {"a": b}, {"a": a, "b": b})]
    assert len(set(digests)) == 4
    assert state_sha256({"a": a, "b": b}) == state_sha256({"b": b, "a": a})


def test_weights_are_those_of_their_digest_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    state = {"a": torch.arange(6.0).reshape(2, 3)}
    checksum = state_sha256(state)
    assert load_state(path, checksum) is None
    save_state(path, state)
    content = path.read_bytes()
    # PyTorch reads them as they are.
    assert torch.equal(torch.load(path, weights_only=True)["a"], state["a"])
    loaded = load_state(path, checksum)
    assert loaded is not None
    assert torch.equal(loaded["a"], state["a"])
    other = tmp_path / "other.pt"
    save_state(other, {"a": torch.zeros(2, 3)})
    for damaged in (content[:-1], content[:50], b"", other.read_bytes()):
        path.write_bytes(damaged)
        assert load_state(path, checksum) is None
        assert damaged in [each.read_bytes() for each in tmp_path.glob("weights.pt*.corrupt")]


def test_want_of_memory_sets_no_weights_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    def full_at_once(_: Path) -> bytes:
        raise MemoryError

    path = tmp_path / "weights.pt"
    save_state(path, {"a": torch.zeros(3)})
    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(BenchError, match=r"weights\.pt: memory does not suffice"):
        load_state(path, "00")
    monkeypatch.setattr(Path, "read_bytes", full_at_once)
    with pytest.raises(BenchError, match=r"weights\.pt: memory does not suffice"):
        load_state(path, "00")
    assert [each.name for each in tmp_path.iterdir()] == ["weights.pt"]


@pytest.mark.parametrize("load", [load_tensors, lambda path: load_state(path, "00")])
def test_a_disk_that_fails_for_now_sets_nothing_aside(
    load: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "weights.pt"
    save_state(path, {"a": torch.zeros(3)})
    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(BenchError, match=r"cannot read .*weights\.pt: Input/output error"):
        load(path)
    assert [each.name for each in tmp_path.iterdir()] == ["weights.pt"]


def test_weights_that_find_no_room_are_an_error_in_one_line(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(BenchError, match=r"cannot write .*weights\.pt: File too large"):
            save_state(tmp_path / "weights.pt", {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any(tmp_path.iterdir())
