from collections.abc import Iterator
from typing import Any

import pytest
import torch

from bench.models.precision import arithmetic


def _owners() -> tuple[Any, Any]:
    """What has the new switches of tf32; the second is None where PyTorch has none."""
    return torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv", None)


@pytest.fixture
def switches() -> Iterator[None]:
    owners = _owners()
    before = [owner.fp32_precision for owner in owners]
    yield
    for owner, value in zip(owners, before, strict=True):
        owner.fp32_precision = value


@pytest.mark.skipif(_owners()[1] is None, reason="PyTorch before 2.9 has one kind of switch")
@pytest.mark.usefixtures("switches")
def test_a_plugin_may_use_either_kind_of_switch_for_tf32() -> None:
    matmul, conv = _owners()
    conv.fp32_precision = "ieee"
    matmul.fp32_precision = "tf32"
    for precision, wanted in (("fp32", "ieee"), ("tf32", "tf32")):
        with arithmetic(precision, torch.device("cuda")):
            assert (conv.fp32_precision, matmul.fp32_precision) == (wanted, wanted)
        assert (conv.fp32_precision, matmul.fp32_precision) == ("ieee", "tf32")
    torch.backends.cuda.matmul.allow_tf32 = False
    with arithmetic("tf32", torch.device("cuda")):
        assert matmul.fp32_precision == "tf32"
