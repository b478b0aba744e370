"""Training on a GPU that is not there: every method, alone and in company, and on after a stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.experiments.spec import PRECISIONS, TrainingSpec
from bench.training import loop
from bench.training.stack import Stack
from bench.training.trainee import Trainee, place
from tests.support.diary import Diary, train_all
from tests.support.fake_gpu import AVAILABLE, GPU, fake_gpu
from tests.support.tiny import PARAMETERS, TINY

pytestmark = pytest.mark.skipif(
    not AVAILABLE, reason="fake CUDA tensors need a CUDA build of PyTorch"
)
METHODS = ("ae", "irmae", *PARAMETERS)


@pytest.fixture(autouse=True)
def frequent_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_STEPS", 2)


def _spec(method: str, **change: object) -> TrainingSpec:
    depth = 2 if method == "irmae" else 0
    spec = replace(TINY, method=method, depth=depth, parameters=PARAMETERS.get(method, ()))
    return replace(spec, **change)  # type: ignore[arg-type]


def _images() -> torch.Tensor:
    return place(torch.zeros(64, 1, 32, 32, dtype=torch.uint8), GPU)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("method", METHODS)
def test_a_run_trains_and_goes_on_after_a_stop(method: str, precision: str) -> None:
    spec, diary = _spec(method, precision=precision, epochs=2), Diary()
    with fake_gpu():
        whole = Trainee(spec, GPU)
        assert train_all(_images(), whole, diary=diary) == {}
        assert {parameter.device for parameter in whole.model.parameters()} == {GPU}
        resumed = Trainee(spec, GPU)
        # As it comes from the disk: on the CPU.
        resumed.load_state_dict(_on_cpu(diary.states[spec, 4]))
        assert train_all(_images(), resumed) == {}
        assert resumed.step == spec.steps
        for state in resumed.optimizer.state.values():
            assert {values.device for values in state.values()} == {GPU}


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
@pytest.mark.parametrize("method", ["irmae", "rae-l2"])
def test_runs_train_as_one(method: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    depths = (2, 4, 8) if method == "irmae" else (0, 0, 0)
    specs = [_spec(method, precision=precision, seed=i, depth=d) for i, d in enumerate(depths)]
    diary = Diary()
    with fake_gpu():
        group = [Trainee(spec, GPU) for spec in specs]
        assert train_all(_images(), *group, diary=diary) == {}
        assert {trainee.stacked for trainee in group} == {3}
        resumed = [Trainee(spec, GPU) for spec in specs]
        for trainee in resumed:
            trainee.load_state_dict(_on_cpu(diary.states[trainee.spec, 4]))
        assert train_all(_images(), *resumed) == {}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(each) for key, each in value.items()}
    return [_on_cpu(each) for each in value] if isinstance(value, list) else value


def test_a_method_that_draws_on_another_device_is_refused() -> None:
    with fake_gpu():
        trainee = Trainee(_spec("vae"), GPU)
        trainee._noise = torch.Generator("cpu")
        failures = train_all(_images(), trainee)
    assert "device type for generator" in str(failures[trainee])


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_moments_that_stay_on_the_cpu_are_refused(name: str) -> None:
    spec, diary = _spec("ae"), Diary()
    with fake_gpu():
        assert train_all(_images(), Trainee(spec, GPU), diary=diary) == {}
        resumed = Trainee(spec, GPU)
        resumed.load_state_dict(diary.states[spec, 4])
        for state in resumed.optimizer.state.values():
            state[name] = state[name].cpu()
        failures = train_all(_images(), resumed)
    assert f"{name} is on cpu" in str(failures[resumed])


def test_indices_that_stay_on_the_cpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the identities in a stack of several depths; its runs then train one by one."""
    real = torch.tensor

    def on_cpu(data: object, **named: object) -> torch.Tensor:
        return real(data) if isinstance(data, list) else real(data, **named)  # type: ignore[arg-type]

    with fake_gpu():
        group = [Trainee(_spec("irmae", depth=depth), GPU) for depth in (2, 4)]
        with monkeypatch.context() as patched:
            patched.setattr(torch, "tensor", on_cpu)
            stack = Stack(group)
            with pytest.raises(RuntimeError, match="device"):
                stack.advance(_images())
        Stack([Trainee(trainee.spec, GPU) for trainee in group]).advance(_images())


def test_weights_that_stay_on_the_cpu_are_refused() -> None:
    with fake_gpu():
        trainee = Trainee(_spec("ae"), GPU)
        trainee.model.to("cpu")
        failures = train_all(_images(), trainee)
    assert "device" in str(failures[trainee])
