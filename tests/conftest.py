import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from bench.data import DATASETS, dataset, prepared
from bench.data.images import LoadedData
from bench.evaluation.extractors import REGISTERED_EXTRACTORS
from bench.store.folders import Store
from tests.support import report_runs as reports
from tests.support.corner import CORNER

# Images and networks are so small that threads cost more than they give, also in commands that
# tests start. Test processes that run side by side (pytest -n) have a core each: threads that
# outnumber the cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
worker = os.environ.get("PYTEST_XDIST_WORKER")
if worker and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# The same examples every time, however slow the machine.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def nothing_of_the_users(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data in the folder that tests are started from, and weights in PyTorch's, are no part."""
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv("TORCH_HOME", str(empty / "torch"))
    monkeypatch.chdir(empty)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """A command that ran in this process may have asked for more."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting workers takes longer than preparing the few pictures of a test."""
    monkeypatch.setattr(prepared, "core_count", lambda: 1)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Data sets that a test makes known are gone after it."""
    declared = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(declared)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A runs folder that has nothing."""
    return Store(tmp_path / "runs")


@pytest.fixture
def corner(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that have images looked at by an extractor that takes no time."""
    monkeypatch.setitem(REGISTERED_EXTRACTORS, "corner", CORNER)
    return ["--extractor", "corner"]


@pytest.fixture(scope="session")
def sample() -> LoadedData:
    return dataset("mnist-sample").load(Path("no-such-folder"))


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs folder without the user's own runs, where Git tells which these are."""
    root = Path(__file__).parent.parent
    command = ["git", "-C", str(root), "ls-files", "runs"]
    names = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not names:
        return root / "runs"
    folder = tmp_path_factory.mktemp("committed")
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target)
    return folder / "runs"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A runs folder without runs."""
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, and beside it the runs that it is of, their tables and figures."""
    folder = tmp_path_factory.mktemp("report")
    reports.fill(folder / "runs")
    reports.write(folder / "runs", folder)
    return folder
