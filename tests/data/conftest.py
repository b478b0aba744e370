from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.data import prepared
from tests.support.pictures import write_celeba


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting workers takes longer than preparing the few pictures of a test."""
    monkeypatch.setattr(prepared, "core_count", lambda: 1)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_celeba(tmp_path_factory.mktemp("original"))


@pytest.fixture
def data_dir(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"
