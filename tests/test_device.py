import pytest
import torch

from bench import device


@pytest.mark.parametrize(
    ("error", "memory", "failed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
        (RuntimeError("CUDA error: out of memory"), True, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True, 0),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, False),
        (MemoryError(), True, False),
        (RuntimeError("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True, False),
        (RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED when calling cublasCreate(handle)"), True, 0),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True, False),
        (RuntimeError("cusolver INTERNAL_ERROR, when calling cusolverDnCreate(handle)"), True, 0),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), False, 0),
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
