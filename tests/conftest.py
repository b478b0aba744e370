from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bench.data import DATASETS, dataset
from bench.data.images import LoadedData
from bench.evaluation.extractors import REGISTERED_EXTRACTORS
from tests.support.corner import CORNER

# The same examples every time, however slow the machine.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Data sets that a test makes known are gone after it."""
    declared = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(declared)


@pytest.fixture
def corner(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that have images looked at by an extractor that takes no time."""
    monkeypatch.setitem(REGISTERED_EXTRACTORS, "corner", CORNER)
    return ["--features", "corner"]


@pytest.fixture(scope="session")
def sample() -> LoadedData:
    return dataset("mnist-sample").load(Path("no-such-folder"))


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A runs folder without runs."""
    return tmp_path / "runs"
