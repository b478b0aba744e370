from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bench.data import DATASETS, dataset
from bench.data.images import LoadedData

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


@pytest.fixture(scope="session")
def sample() -> LoadedData:
    return dataset("mnist-sample").load(Path("no-such-folder"))


@pytest.fixture(scope="session")
def trained_cache(tmp_path_factory: pytest.TempPathFactory, sample: LoadedData) -> Path:
    """A store's cache that holds the sample's classifier, trained once for all tests."""
    import torch

    from bench.evaluation.trained import trained_extractor

    cache = tmp_path_factory.mktemp("cache")
    declared = dataset("mnist-sample")
    trained_extractor("classifier", declared, lambda: sample.train, cache, torch.device("cpu"))
    return cache


@pytest.fixture
def runs_dir(tmp_path: Path, trained_cache: Path) -> Path:
    """A runs folder without runs."""
    shutil.copytree(trained_cache, tmp_path / "runs" / ".cache")
    return tmp_path / "runs"
