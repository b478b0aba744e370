"""Training on a GPU that is not there: each method, alone and with others, and after a stop."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch.utils._pytree import tree_map_only

from bench.experiments.spec import PRECISIONS
from bench.training.cuda_graph import GraphedRuns
from bench.training.run_in_training import RunInTraining, to_device
from tests.support.diary import Diary, train_all
from tests.support.fake_gpu import AVAILABLE, GPU, fake_gpu
from tests.support.tiny import GRAPH_SAFE, METHODS, tiny

pytestmark = pytest.mark.skipif(
    not AVAILABLE, reason="fake CUDA tensors need a CUDA build of PyTorch"
)


def _images() -> torch.Tensor:
    return to_device(torch.zeros(64, 1, 32, 32, dtype=torch.uint8), GPU)


@pytest.mark.parametrize(
    ("methods", "precision"),
    [
        *((("irmae",), precision) for precision in PRECISIONS),
        # With casts, which the others do without.
        *(((method,), "bf16") for method in METHODS if method != "irmae"),
        (GRAPH_SAFE, "bf16"),
    ],
)
def test_runs_train_side_by_side_and_after_a_stop(methods: Sequence[str], precision: str) -> None:
    specs = [tiny(method, precision=precision, epochs=2) for method in methods]
    diary = Diary()
    with fake_gpu():
        group, resumed = ([RunInTraining(spec, GPU) for spec in specs] for _ in range(2))
        assert train_all(_images(), *group, diary=diary) == {}
        for run in resumed:
            # Checkpoints are read onto the CPU.
            state = diary.states[run.spec, 4]
            run.load_state_dict(tree_map_only(torch.Tensor, torch.Tensor.cpu, state))
        assert train_all(_images(), *resumed) == {}
        for run in (*group, *resumed):
            assert (run.step, run.side_by_side) == (8, len(specs))
            assert {parameter.device for parameter in run.model.parameters()} == {GPU}
            for values in run.optimizer.state.values():
                assert {value.device for value in values.values()} == {GPU}


def test_a_method_that_draws_on_another_device_is_refused() -> None:
    with fake_gpu():
        run = RunInTraining(tiny("vae"), GPU)
        run.noise = torch.Generator("cpu")
        failures = train_all(_images(), run)
    assert "device type for generator" in str(failures[run])


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_moments_that_stay_on_the_cpu_are_refused(name: str) -> None:
    spec, diary = tiny("ae"), Diary()
    with fake_gpu():
        assert train_all(_images(), RunInTraining(spec, GPU), diary=diary) == {}
        resumed = RunInTraining(spec, GPU)
        resumed.load_state_dict(diary.states[spec, 4])
        for state in resumed.optimizer.state.values():
            state[name] = state[name].cpu()
        failures = train_all(_images(), resumed)
    assert f"{name} is on cpu" in str(failures[resumed])


def test_a_generator_of_another_device_is_not_captured() -> None:
    with fake_gpu():
        run = RunInTraining(tiny("ae"), GPU)
        run.noise = torch.Generator("cpu")
        graphed = GraphedRuns([run], _images(), [])
        for _ in range(3):
            graphed.advance()
        with pytest.raises(RuntimeError, match="cannot be captured"):
            graphed.advance()


def test_a_run_that_is_not_graph_safe_or_has_its_images_elsewhere_trains_alone() -> None:
    with fake_gpu():
        group = [RunInTraining(tiny("ae", seed=seed), GPU) for seed in range(2)]
        assert train_all(_images().cpu(), *group) == {}
        assert [run.side_by_side for run in group] == [1, 1]
        others = [RunInTraining(tiny("ae", seed=seed), GPU) for seed in range(3)]
        others[1].method = replace(others[1].method, graph_safe=False)
        assert train_all(_images(), *others) == {}
        assert [run.side_by_side for run in others] == [2, 1, 2]


def test_weights_that_stay_on_the_cpu_are_refused() -> None:
    with fake_gpu():
        run = RunInTraining(tiny("ae"), GPU)
        run.model.to("cpu")
        failures = train_all(_images(), run)
    assert "device" in str(failures[run])
