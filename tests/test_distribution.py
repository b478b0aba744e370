"""The package that users install has all that it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.network
def test_a_wheel_has_what_a_table_and_a_report_need(tmp_path: Path) -> None:
    """The checkout's own bench/ is hidden by the installed one, which comes first in the path."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels, installed, empty = (tmp_path / name for name in ("wheels", "installed", "empty"))
    empty.mkdir()
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT], check=True)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True)
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        ran = subprocess.run(
            command, cwd=empty, env=environment, check=True, capture_output=True, text=True
        )
        return ran.stdout

    assert run("-c", "import bench; print(bench.__file__)").startswith(str(installed))
    table = run("-m", "bench", "--table", "4", "--profile", "smoke", "--report")
    assert "Latent rank" in table
    assert sorted(path.name for path in empty.iterdir()) == ["report.html", "runs", "tables"]
