"""A GPU that computes shapes, strides and devices and no numbers, on a machine that has none.

PyTorch's fake tensors refuse what a real GPU would refuse: operands on two devices. What asks the
driver is replaced here by something that answers as it would: generators, free memory, numbers that
are read back, gradients, streams and graphs.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self
from unittest import mock

import numpy as np
import torch

# Before torch.Generator is replaced, which it subclasses by name.
import torch._dynamo
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda", 0)
AVAILABLE = torch.backends.cuda.is_built()
_Generator = torch.Generator


class FakeGenerator(_Generator):
    """A CPU's generator that says it is another device's."""

    claimed: torch.device

    def __new__(cls, device: torch.device | str = "cpu") -> Self:
        made = super().__new__(cls, "cpu")  # type: ignore[call-arg]
        made.claimed = torch.device(device)
        return made


class _Generators(TorchFunctionMode):
    """Refuses a generator on another device than the numbers that it draws."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        generator = named.get("generator")
        if isinstance(generator, FakeGenerator):
            drawn = torch.device(named.get("device") or "cpu")
            if drawn.type != generator.claimed.type:
                raise RuntimeError(
                    f"Expected a {drawn.type} device type for generator but found "
                    f"{generator.claimed.type}"
                )
            named["generator"] = None
        return func(*args, **named)


def _to(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """nn.Module.to, which would change fake parameters in place."""
    device, dtype, _, memory_format = torch._C._nn._parse_to(*args, **kwargs)

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        wanted = dtype if tensor.is_floating_point() else None
        layout = memory_format if memory_format and tensor.dim() == 4 else torch.preserve_format
        return tensor.detach().to(device, wanted, memory_format=layout)

    for module in self.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(moved(parameter))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = moved(buffer)
    return self


def _leaves(*outputs: torch.Tensor) -> list[torch.Tensor]:
    """The parameters that outputs depend on."""
    found, seen = [], set()
    nodes = [output.grad_fn for output in outputs]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        nodes += [following for following, _ in node.next_functions]
    return found


def _backward(self: torch.Tensor, *args: object, **kwargs: object) -> None:
    for leaf in _leaves(self):
        leaf.grad = torch.zeros_like(leaf)
        for hook in (leaf._backward_hooks or {}).values():
            leaf.grad = hook(torch.zeros_like(leaf))


def _grad(outputs: torch.Tensor, inputs: torch.Tensor, **kwargs: object) -> tuple[torch.Tensor]:
    """A gradient of the right shape and device, which depends on the same parameters."""
    return (torch.zeros_like(inputs) + 0 * outputs.sum(),)


def _numpy(self: torch.Tensor) -> np.ndarray:
    if self.device.type != "cpu":
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")
    rng = np.random.default_rng(0)
    if self.is_floating_point():
        # They sum to less than 1, as shares must.
        values = rng.uniform(0.1, 1, tuple(self.shape)) / max(2, self.numel())
        return values.astype(str(self.dtype).removeprefix("torch."))
    return np.zeros(tuple(self.shape), str(self.dtype).removeprefix("torch."))


def _deepcopy(self: FakeTensor, memo: dict[int, Any]) -> torch.Tensor:
    made = self.detach().clone()
    return nn.Parameter(made) if isinstance(self, nn.Parameter) else made


class _Adam(torch.optim.Adam):
    """Adam whose step checks its state: the parameters' device and strides."""

    def __init__(self, params: Any, lr: float, *, fused: bool) -> None:
        assert fused
        super().__init__(params, lr=lr, fused=False)
        for group in self.param_groups:
            # A state that is loaded goes where a fused kernel wants it.
            group["fused"] = True

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), device=parameter.device)
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                for name, values in state.items():
                    if values.device != parameter.device:
                        raise RuntimeError(f"{name} is on {values.device}, not with its parameter")
                    if name != "step" and values.stride() != parameter.stride():
                        raise RuntimeError(f"{name} is not laid out as its parameter")


class FakeGraph:
    """A CUDA graph; replaying it computes no numbers."""

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []
        self.captured = False

    def register_generator_state(self, generator: torch.Generator) -> None:
        assert isinstance(generator, FakeGenerator)
        if generator.claimed.type != "cuda":
            raise RuntimeError("a generator of another device cannot be captured")
        self.generators.append(generator)

    def replay(self) -> None:
        assert self.captured

    @contextlib.contextmanager
    def capture(self, stream: object) -> Iterator[None]:
        yield
        self.captured = True


def graph_patches(graph: Any) -> dict[str, Any]:
    """What replaces streams and CUDA graphs in ``torch.cuda``, with a class for the graph."""
    return {
        "Stream": mock.MagicMock(),
        "current_stream": mock.MagicMock(),
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": graph,
        "graph": graph.capture,
    }


@contextlib.contextmanager
def fake_gpu() -> Iterator[FakeTensorMode]:
    """Make every tensor fake, and what the suite asks of a GPU answered."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def from_numpy(array: np.ndarray) -> torch.Tensor:
        return torch.empty(array.shape, dtype=_DTYPES[str(array.dtype)])

    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (torch, "Generator", FakeGenerator),
            (torch, "from_numpy", from_numpy),
            (torch.cuda, "mem_get_info", lambda device: (64 << 30, 80 << 30)),
            (torch.cuda, "is_bf16_supported", lambda: True),
            *((torch.cuda, name, value) for name, value in graph_patches(FakeGraph).items()),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            (torch.Tensor, "item", lambda self: 0.5),
            (torch.Tensor, "__bool__", lambda self: False),
            (torch.Tensor, "tolist", lambda self: _numpy(self.cpu()).tolist()),
            (torch.Tensor, "numpy", _numpy),
            (torch.Tensor, "backward", _backward),
            (torch.Tensor, "__deepcopy__", _deepcopy),
            (torch.autograd, "grad", _grad),
            (torch.optim, "Adam", _Adam),
            (nn.Module, "to", _to),
            (FakeTensorMode, "__deepcopy__", lambda self, memo: self),
        ):
            stack.enter_context(mock.patch.object(owner, name, value, create=True))
        stack.enter_context(mode)
        stack.enter_context(_Generators())
        yield mode


_DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "uint8", "int32", "int64")}
