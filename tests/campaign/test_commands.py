from pathlib import Path

import pytest

from bench import device
from bench.campaign import commands
from bench.cli import main

OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def test_a_driver_that_is_too_old_is_found_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "gpu_count", lambda: 1)
    monkeypatch.setattr(device, "why_unusable", lambda device: OLD)
    command = ["--table", "4", "--plan", "--runs-dir", str(tmp_path)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err.strip() == f"on the CPU, since the GPU cannot be used: {OLD}"
    assert "profile quick" in captured.out
    assert main([*command, "--device", "cuda"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert OLD in line
    monkeypatch.setattr(device, "why_unusable", lambda device: "")
    assert main(command) == 0
    assert "profile paper" in capsys.readouterr().out
