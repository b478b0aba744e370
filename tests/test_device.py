from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import device
from bench.campaign import commands
from bench.cli import main


@pytest.mark.parametrize(
    ("error", "memory", "failed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
        (RuntimeError("CUDA error: out of memory"), True, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True, 0),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, False),
        (MemoryError(), True, False),
        (RuntimeError("CUDA error: unspecified launch failure"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error in another error"), False, False),
    ],
)
def test_errors_of_memory_and_of_the_device_are_told_apart(
    error: Exception, memory: bool, failed: bool
) -> None:
    assert device.is_out_of_memory(error) is memory
    assert device.is_device_failure(error) is bool(failed)


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="PyTorch before 2.8")
def test_an_accelerators_error_is_of_the_device_unless_memory_is_short() -> None:
    assert device.is_device_failure(torch.AcceleratorError("unknown error"))
    assert not device.is_device_failure(torch.AcceleratorError("CUDA error: out of memory"))
    assert device.is_out_of_memory(torch.AcceleratorError("CUDA error: out of memory"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU that can be used")
def test_a_device_that_cannot_be_used_says_why_in_one_line() -> None:
    assert device.why_unusable(torch.device("cpu")) == ""
    reason = device.why_unusable(torch.device("cuda"))
    assert reason
    assert "\n" not in reason


def test_a_driver_that_is_too_old_is_found_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "The NVIDIA driver on your system is too old (found version 11040)"
    monkeypatch.setattr(commands, "gpu_count", lambda: 1)
    monkeypatch.setattr(device, "why_unusable", lambda device: reason)
    command = ["--table", "4", "--plan", "--runs-dir", str(tmp_path)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err.strip() == f"on the CPU, since the GPU cannot be used: {reason}"
    assert "profile quick" in captured.out
    assert main([*command, "--device", "cuda"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    monkeypatch.setattr(device, "why_unusable", lambda device: "")
    assert main(command) == 0
    assert "profile paper" in capsys.readouterr().out
