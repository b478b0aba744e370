"""The commit that a record names is that of the code that runs."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.store import provenance


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Git in a checkout whose code is asked for its commit."""

    def run(*arguments: str) -> str:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    # The user's own may sign every commit.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("run_all.py", "bench/store/provenance.py", "bench/models/ae.py", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    run("init", "-q")
    run("add", "-A")
    run("commit", "-qm", "first")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "bench/store/provenance.py"))
    provenance.commit.cache_clear()
    yield run
    provenance.commit.cache_clear()


def test_a_record_names_the_commit_and_changes_wherever_code_is(
    git: Callable[..., str], tmp_path: Path
) -> None:
    first = git("rev-parse", "HEAD")
    (tmp_path / "README.md").write_text("prose changes no number")
    (tmp_path / "mine.py").write_text("not part of the suite")
    assert provenance.commit() == first
    (tmp_path / "bench/models/ae.py").write_text("edited = True")
    # What runs was imported before.
    assert provenance.commit() == first
    provenance.commit.cache_clear()
    assert provenance.commit() == f"{first}+changes"


def test_a_copy_in_another_projects_checkout_has_no_commit(git: Callable[..., str]) -> None:
    git("rm", "-q", "run_all.py")
    assert provenance.commit() == "unknown"
