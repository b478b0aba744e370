from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch

from bench.data.images import LoadedData
from bench.experiments.spec import TrainingSpec
from bench.models.precision import arithmetic
from bench.training import side_by_side
from bench.training.cuda_graph import GraphedRuns
from bench.training.run_in_training import NonFiniteLossError, RunInTraining
from tests.support.diary import Diary, moved_alike, train_all, weights
from tests.support.fake_gpu import graph_patches
from tests.support.tiny import GRAPH_SAFE, TINY, tiny

CPU = torch.device("cpu")
DEPTHS = [replace(TINY, depth=2, init_scale=4.0), replace(TINY, depth=4), replace(TINY, seed=1)]
OTHERS = [tiny(method) for method in GRAPH_SAFE if method != "irmae"]
WIDE = replace(TINY, latent_dim=16)
GROUPS = {
    "depths": DEPTHS,
    "methods": OTHERS,
    "latents": [TINY, WIDE],
    "incomplete last batches": [replace(s, train_images=50) for s in (*DEPTHS, tiny("vae"))],
}


class ReplayedGraph:
    """A graph on a CPU: captured steps are not taken, and are taken with every replay."""

    made: list[ReplayedGraph]

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []
        self.replays = 0
        self.made.append(self)

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generators.append(generator)

    def replay(self) -> None:
        self.replays += 1
        for run, images, chosen in self.steps:
            _take_step(run, images, chosen)

    @contextlib.contextmanager
    def capture(self, stream: object) -> Iterator[None]:
        self.steps: list[tuple[RunInTraining, torch.Tensor, torch.Tensor]] = []

        def note(run: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
            assert all(group["capturable"] for group in run.optimizer.param_groups)
            self.steps.append((run, images, chosen))

        with mock.patch.object(RunInTraining, "take_step", note):
            yield


_take_step = RunInTraining.take_step


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[ReplayedGraph]:
    """The graphs that training makes on the CPU while it takes it for a GPU."""
    made: list[ReplayedGraph] = []
    monkeypatch.setattr(ReplayedGraph, "made", made, raising=False)
    for name, value in graph_patches(ReplayedGraph).items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(side_by_side, "_graph_safe", lambda run, images: run.method.graph_safe)
    return made


class OrderedStream:
    """A stream that knows what is sure to be done before what it does next."""

    current: OrderedStream
    ready: str

    def __init__(self, device: object = None) -> None:
        self.done: set[str] = set()

    def wait_stream(self, other: OrderedStream) -> None:
        self.done |= other.done

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        before, OrderedStream.current = OrderedStream.current, self
        try:
            yield
        finally:
            OrderedStream.current = before


class OrderedGraph:
    """A graph whose capture begins and ends on one stream, as CUDA's must."""

    def register_generator_state(self, generator: torch.Generator) -> None:
        pass

    def replay(self) -> None:
        pass

    @contextlib.contextmanager
    def capture(self, stream: OrderedStream) -> Iterator[None]:
        OrderedStream.ready = "captured"
        stream.done = {"captured"}
        with stream.entered():
            yield
        assert stream.done >= {f"{name} captured" for name in ("step 0", "step 1", "step 2")}


@pytest.mark.parametrize("failing", [None, 1])
def test_no_step_begins_before_its_images_are_there_or_is_still_running_after(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch, failing: int | None
) -> None:
    """Streams wait for each other, eager and captured, also where a run fails."""
    patches = {
        "Stream": OrderedStream,
        "current_stream": lambda device: OrderedStream.current,
        "stream": OrderedStream.entered,
        "CUDAGraph": OrderedGraph,
        "graph": OrderedGraph.capture,
    }
    for name, value in patches.items():
        monkeypatch.setattr(torch.cuda, name, value)
    default = OrderedStream()
    monkeypatch.setattr(OrderedStream, "current", default, raising=False)
    monkeypatch.setattr(OrderedStream, "ready", "handed over", raising=False)
    runs = [RunInTraining(spec, CPU) for spec in DEPTHS]

    def step(run: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
        stream = OrderedStream.current
        assert OrderedStream.ready in stream.done
        stream.done.add(f"step {runs.index(run)} {OrderedStream.ready}")
        if runs.index(run) == failing:
            raise ArithmeticError

    monkeypatch.setattr(RunInTraining, "take_step", step)
    monkeypatch.setattr(RunInTraining, "step_eagerly", step)
    together = GraphedRuns(runs, sample.train.images, [])
    # Three steps are eager, and the fourth one is captured.
    for _ in range(4 if failing is None else 1):
        default.done = {"handed over"}
        with contextlib.suppress(ArithmeticError):
            together.advance()
        ran = range(3) if failing is None else range(failing + 1)
        if together._graph is None:
            assert default.done >= {f"step {index} handed over" for index in ran}
    assert (together._graph is None) == (failing is not None)


def _alone(spec: TrainingSpec, images: torch.Tensor, diary: Diary | None = None) -> RunInTraining:
    run = RunInTraining(spec, CPU)
    with mock.patch.object(side_by_side, "_graph_safe", return_value=False):
        assert train_all(images, run, diary=diary) == {}
    assert run.side_by_side == 1
    return run


@pytest.mark.parametrize("name", GROUPS)
def test_a_run_side_by_side_with_others_is_the_run_alone(
    sample: LoadedData, graphs: list[ReplayedGraph], name: str
) -> None:
    specs, images = GROUPS[name], sample.train.images
    together, diary, apart = [RunInTraining(spec, CPU) for spec in specs], Diary(), Diary()
    start = time.monotonic()
    assert train_all(images, *together, diary=diary) == {}
    (graph,) = graphs
    assert graph.replays >= specs[0].steps / 2
    assert graph.generators == [run.noise for run in together]
    assert 0 < sum(run.seconds for run in together) <= time.monotonic() - start
    for run in together:
        assert run.side_by_side == len(specs)
        assert not any(group["capturable"] for group in run.optimizer.param_groups)
        assert torch.equal(weights(run), weights(_alone(run.spec, images, apart)))
        assert diary.losses(run.spec) == apart.losses(run.spec)
        assert len(run.spectra) == run.spec.epochs


def test_runs_meet_at_a_step_and_go_on_side_by_side(
    sample: LoadedData, graphs: list[ReplayedGraph]
) -> None:
    images, diary = sample.train.images, Diary()
    train_all(images, RunInTraining(DEPTHS[0], CPU), diary=diary)
    resumed, fresh = RunInTraining(DEPTHS[0], CPU), RunInTraining(DEPTHS[1], CPU)
    resumed.load_state_dict(diary.states[DEPTHS[0], 4])
    assert (resumed.side_by_side, len(graphs)) == (1, 1)
    assert train_all(images, resumed, fresh) == {}
    assert (resumed.side_by_side, fresh.side_by_side) == (2, 2)
    for run in (resumed, fresh):
        assert torch.equal(weights(run), weights(_alone(run.spec, images)))


def test_a_diverging_run_leaves_the_others(sample: LoadedData, graphs: list[ReplayedGraph]) -> None:
    good = [RunInTraining(spec, CPU) for spec in DEPTHS]
    bad = RunInTraining(replace(TINY, seed=9), CPU)
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("nan"))
    failures = train_all(sample.train.images, good[0], bad, *good[1:])
    assert set(failures) == {bad}
    assert isinstance(failures[bad], NonFiniteLossError)
    assert "between steps 0 and 2" in str(failures[bad])
    for run in good:
        assert torch.equal(weights(run), weights(_alone(run.spec, sample.train.images)))


@pytest.fixture
def companies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs took each step side by side, in order."""
    counts: list[int] = []
    advance = GraphedRuns.advance

    def watched(self: GraphedRuns) -> None:
        counts.append(len(self.members))
        advance(self)

    monkeypatch.setattr(GraphedRuns, "advance", watched)
    return counts


@pytest.mark.parametrize("step", [0, 3, 4])
def test_runs_that_find_no_memory_side_by_side_are_halved(
    sample: LoadedData,
    graphs: list[ReplayedGraph],
    companies: list[int],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    """In eager steps (3 is of incomplete batches) and in the one that is captured (4).

    No step of any run is done twice or left out.
    """
    images = sample.train.images
    group = [RunInTraining(replace(TINY, seed=seed, train_images=50), CPU) for seed in range(5)]
    take = RunInTraining.take_step

    def short(self: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
        if self is group[2] and self.step == step and companies[-1] > 2:
            raise torch.OutOfMemoryError("no memory")
        take(self, images, chosen)

    def full(self: ReplayedGraph, generator: torch.Generator) -> None:
        self.generators.append(generator)
        if step == 4 and len(self.generators) > 2:
            raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(RunInTraining, "take_step", short)
    monkeypatch.setattr(ReplayedGraph, "register_generator_state", full)
    diary, apart = Diary(), Diary()
    assert train_all(images, *group, diary=diary) == {}
    assert set(companies[: step + 1]) == {5}
    assert set(companies[step + 1 :]) <= {1, 2}
    monkeypatch.setattr(RunInTraining, "take_step", take)
    for run in group:
        assert torch.equal(weights(run), weights(_alone(run.spec, images, apart)))
        assert diary.losses(run.spec) == apart.losses(run.spec)
        assert len(run.spectra) == run.spec.epochs


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("method", ["rae-sn", "least-volume"])
def test_a_step_that_found_no_memory_is_taken_again_as_if_for_the_first_time(
    sample: LoadedData, method: str
) -> None:
    """Its forward pass has moved the vectors that track spectral norms."""
    group = [RunInTraining(replace(tiny(method), seed=seed), CPU) for seed in range(2)]
    failing, missing = group[1], [torch.OutOfMemoryError("no memory")]
    loss = failing.method.loss

    def short(*arguments: Any) -> torch.Tensor:
        computed = loss(*arguments)
        if missing:
            raise missing.pop()
        return computed

    failing.method = replace(failing.method, loss=short)
    assert train_all(sample.train.images, *group) == {}
    for run in group:
        assert torch.equal(weights(run), weights(_alone(run.spec, sample.train.images)))


def test_a_run_that_finds_no_memory_beside_the_graphs_of_others_has_them_released(
    sample: LoadedData, graphs: list[ReplayedGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRAE trains alone; what IRMAE's graph holds is released first."""
    group = [RunInTraining(tiny(method), CPU) for method in ("irmae", "lorae")]
    loss = group[1].method.loss
    alive, errors = weakref.WeakSet[GraphedRuns](), []

    class Noted(GraphedRuns):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            alive.add(self)

    def short(*arguments: Any) -> torch.Tensor:
        if alive:
            errors.append(torch.OutOfMemoryError("no memory"))
            raise errors[-1]
        return loss(*arguments)

    monkeypatch.setattr(side_by_side, "GraphedRuns", Noted)
    group[1].method = replace(group[1].method, loss=short)
    assert train_all(sample.train.images, *group) == {}
    assert errors


@pytest.mark.usefixtures("graphs")
def test_a_run_that_fails_is_taken_out_and_the_others_go_on_together(
    sample: LoadedData, companies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sample.train.images
    group = [RunInTraining(replace(TINY, seed=seed), CPU) for seed in range(5)]
    take = RunInTraining.take_step

    def broken(self: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
        if self is group[2] and self.step == 1:
            raise ValueError("not this one")
        take(self, images, chosen)

    monkeypatch.setattr(RunInTraining, "take_step", broken)
    assert set(train_all(images, *group)) == {group[2]}
    assert (companies[0], companies[-1]) == (5, 4)
    monkeypatch.setattr(RunInTraining, "take_step", take)
    for run in [*group[:2], *group[3:]]:
        assert torch.equal(weights(run), weights(_alone(run.spec, images)))


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("count", [1, 5])
def test_runs_that_fit_nowhere_fail(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def never(self: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(RunInTraining, "take_step", never)
    group = [RunInTraining(replace(TINY, seed=seed), CPU) for seed in range(count)]
    failures = train_all(sample.train.images, *group)
    assert set(failures) == set(group)
    assert {type(error) for error in failures.values()} == {torch.OutOfMemoryError}


def test_what_broke_a_capture_is_the_runs_failure_and_not_the_gpus(
    sample: LoadedData, graphs: list[ReplayedGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA refuses to end a broken capture, by an error that says nothing of why."""
    group = [RunInTraining(spec, CPU) for spec in DEPTHS]

    @contextlib.contextmanager
    def capture(graph: ReplayedGraph, stream: object) -> Iterator[None]:
        with ReplayedGraph.capture(graph, stream):
            note = RunInTraining.take_step

            def take(run: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
                if run is group[1]:
                    raise ValueError("reads a number")
                note(run, images, chosen)

            with mock.patch.object(RunInTraining, "take_step", take):
                try:
                    yield
                except ValueError as error:
                    raise RuntimeError("CUDA error: unspecified launch failure") from error

    monkeypatch.setattr(torch.cuda, "graph", capture)
    failures = train_all(sample.train.images, *group)
    assert {run: str(error) for run, error in failures.items()} == {group[1]: "reads a number"}
    assert graphs[-1].replays
    for run in (group[0], group[2]):
        assert torch.equal(weights(run), weights(_alone(run.spec, sample.train.images)))


@pytest.mark.usefixtures("graphs")
def test_a_first_step_that_found_no_memory_leaves_no_half_of_adams_state(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = [RunInTraining(replace(TINY, seed=seed), CPU) for seed in range(2)]
    optimizer, missing = group[1].optimizer, [torch.OutOfMemoryError("no memory")]
    step = optimizer.step

    def short() -> None:
        if missing:
            # As Adam does, which makes the count before the means.
            optimizer.state[next(group[1].model.parameters())]["step"] = torch.zeros(())
            raise missing.pop()
        step()

    monkeypatch.setattr(optimizer, "step", short)
    assert train_all(sample.train.images, *group) == {}
    for run in group:
        assert torch.equal(weights(run), weights(_alone(run.spec, sample.train.images)))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_gpu_runs_side_by_side_follow_those_alone(sample: LoadedData, precision: str) -> None:
    gpu = torch.device("cuda")
    images = sample.train.images.to(gpu)
    group = [
        RunInTraining(replace(spec, precision=precision, train_images=50), gpu)
        for spec in (*DEPTHS, *OTHERS, WIDE)
    ]
    assert train_all(images, *group) == {}
    share = {"fp32": 0.01, "tf32": 0.05, "bf16": 0.1}[precision]
    for run in group:
        assert run.side_by_side == len(group)
        alone = RunInTraining(run.spec, gpu)
        with arithmetic(precision, gpu):
            for _ in range(alone.spec.steps):
                alone.advance(images)
        assert moved_alike(run, alone, share), run.spec.name


@pytest.mark.gpu
def test_on_a_gpu_a_step_that_reads_a_number_fails_its_run_alone(sample: LoadedData) -> None:
    gpu = torch.device("cuda")
    group = [RunInTraining(spec, gpu) for spec in DEPTHS]
    loss = group[1].method.loss

    def reads(*arguments: Any) -> torch.Tensor:
        found = loss(*arguments)
        return found if found.item() < 1e9 else 2 * found

    group[1].method = replace(group[1].method, loss=reads)
    assert set(train_all(sample.train.images.to(gpu), *group)) == {group[1]}
    assert [run.step for run in (group[0], group[2])] == [group[0].spec.steps] * 2


@pytest.mark.gpu
def test_on_a_gpu_memory_that_is_short_in_a_capture_halves_the_group(
    sample: LoadedData, companies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, take, left = torch.device("cuda"), RunInTraining.take_step, [1 << 45]

    def short(self: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
        if left and self.spec.seed == 2 and torch.cuda.is_current_stream_capturing():
            torch.empty(left.pop(), device=gpu)
        take(self, images, chosen)

    monkeypatch.setattr(RunInTraining, "take_step", short)
    group = [RunInTraining(replace(TINY, seed=seed), gpu) for seed in range(4)]
    assert train_all(sample.train.images.to(gpu), *group) == {}
    assert (companies[0], companies[-1]) == (4, 2)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
