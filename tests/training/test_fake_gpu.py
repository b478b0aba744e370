"""Training on a GPU that is not there: every method, alone and in company, and on after a stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.experiments.spec import PRECISIONS, TrainingSpec
from bench.training import loop
from bench.training.recorded import Recorded
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


@pytest.mark.parametrize("precision", PRECISIONS)
def test_runs_of_every_method_train_side_by_side(precision: str) -> None:
    specs = [_spec(method, precision=precision, epochs=2) for method in METHODS]
    specs += [_spec("irmae", precision=precision, epochs=2, depth=8, seed=1)]
    diary = Diary()
    with fake_gpu():
        group = [Trainee(spec, GPU) for spec in specs]
        assert train_all(_images(), *group, diary=diary) == {}
        assert {trainee.side_by_side for trainee in group} == {len(specs)}
        resumed = [Trainee(spec, GPU) for spec in specs]
        for trainee in resumed:
            trainee.load_state_dict(_on_cpu(diary.states[trainee.spec, 4]))
        assert train_all(_images(), *resumed) == {}
        assert {trainee.step for trainee in (*group, *resumed)} == {8}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(each) for key, each in value.items()}
    return [_on_cpu(each) for each in value] if isinstance(value, list) else value


def test_a_method_that_draws_on_another_device_is_refused() -> None:
    with fake_gpu():
        trainee = Trainee(_spec("vae"), GPU)
        trainee.noise = torch.Generator("cpu")
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


def test_a_generator_of_another_device_is_not_recorded() -> None:
    with fake_gpu():
        trainee = Trainee(_spec("ae"), GPU)
        trainee.noise = torch.Generator("cpu")
        recorded = Recorded([trainee], _images())
        for _ in range(3):
            recorded.advance()
        with pytest.raises(RuntimeError, match="cannot be recorded"):
            recorded.advance()


def test_what_reads_back_or_has_its_images_elsewhere_trains_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fake_gpu():
        group = [Trainee(_spec("ae", seed=seed), GPU) for seed in range(2)]
        assert train_all(_images().cpu(), *group) == {}
        assert [trainee.side_by_side for trainee in group] == [1, 1]
        others = [Trainee(_spec("ae", seed=seed), GPU) for seed in range(3)]
        others[1].method = replace(others[1].method, repeats=False)
        assert train_all(_images(), *others) == {}
        assert [trainee.side_by_side for trainee in others] == [2, 1, 2]


def test_weights_that_stay_on_the_cpu_are_refused() -> None:
    with fake_gpu():
        trainee = Trainee(_spec("ae"), GPU)
        trainee.model.to("cpu")
        failures = train_all(_images(), trainee)
    assert "device" in str(failures[trainee])
