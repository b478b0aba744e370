from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest
import torch

from bench.campaign.job import Job
from bench.campaign.plan import groups
from bench.cli import main
from bench.data.images import LoadedData
from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.precision import arithmetic
from bench.training import loop
from bench.training.recorded import Recorded
from bench.training.trainee import NonFiniteLossError, Trainee
from tests.support.diary import Diary, train_all
from tests.support.tiny import PARAMETERS, TINY, TINY_MEASUREMENT

CPU = torch.device("cpu")
SHORT = replace(TINY, epochs=1)
DEPTHS = [replace(TINY, depth=2, init_scale=4.0), replace(TINY, depth=4), replace(TINY, seed=1)]
METHODS = [
    replace(TINY, method=method, depth=0, parameters=PARAMETERS.get(method, ()))
    for method in ("ae", *PARAMETERS)
]
LATENTS = [replace(TINY, latent_dim=latent_dim) for latent_dim in (8, 16)]
INCOMPLETE = [replace(spec, train_images=50) for spec in (*DEPTHS, METHODS[1])]
GROUPS = {
    "depths": DEPTHS,
    "methods": METHODS,
    "latents": LATENTS,
    "incomplete last batches": INCOMPLETE,
}


@pytest.fixture(autouse=True)
def frequent_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "LOG_STEPS", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class RepeatedGraph:
    """A graph on a CPU: what is recorded is undone, and done anew when it is replayed."""

    made: list[RepeatedGraph]

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []
        self.replays = 0
        self.made.append(self)

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generators.append(generator)

    def replay(self) -> None:
        self.replays += 1
        for trainee, images, chosen in self.steps:
            _take_step(trainee, images, chosen)

    @contextlib.contextmanager
    def recording(self, stream: object) -> Iterator[None]:
        self.steps: list[tuple[Trainee, torch.Tensor, torch.Tensor]] = []

        def note(trainee: Trainee, images: torch.Tensor, chosen: torch.Tensor) -> None:
            assert all(group["capturable"] for group in trainee.optimizer.param_groups)
            self.steps.append((trainee, images, chosen))

        with mock.patch.object(Trainee, "take_step", note):
            yield


_take_step = Trainee.take_step


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[RepeatedGraph]:
    """The graphs that a training on the CPU makes, where it thinks that it is on a GPU."""
    made: list[RepeatedGraph] = []
    monkeypatch.setattr(RepeatedGraph, "made", made, raising=False)
    for name, value in (
        ("Stream", mock.MagicMock()),
        ("current_stream", mock.MagicMock()),
        ("stream", lambda stream: contextlib.nullcontext()),
        ("CUDAGraph", RepeatedGraph),
        ("graph", RepeatedGraph.recording),
    ):
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(loop, "_repeats", lambda trainee, images: trainee.method.repeats)
    return made


def _same(ours: Trainee, theirs: Trainee) -> None:
    named = dict(theirs.model.named_parameters())
    for name, parameter in ours.model.named_parameters():
        assert torch.equal(parameter, named[name])


def _alone(spec: TrainingSpec, images: torch.Tensor, diary: Diary | None = None) -> Trainee:
    trainee = Trainee(spec, CPU)
    with mock.patch.object(loop, "_repeats", return_value=False):
        assert train_all(images, trainee, diary=diary) == {}
    assert trainee.side_by_side == 1
    return trainee


@pytest.mark.parametrize("name", GROUPS)
def test_a_run_side_by_side_with_others_is_the_run_alone(
    sample: LoadedData, graphs: list[RepeatedGraph], name: str
) -> None:
    specs, images = GROUPS[name], sample.train.images
    together, diary, apart = [Trainee(spec, CPU) for spec in specs], Diary(), Diary()
    assert train_all(images, *together, diary=diary) == {}
    (graph,) = graphs
    assert graph.replays >= specs[0].steps / 2
    assert graph.generators == [trainee.noise for trainee in together]
    for trainee in together:
        assert trainee.side_by_side == len(specs)
        assert not any(group["capturable"] for group in trainee.optimizer.param_groups)
        _same(trainee, _alone(trainee.spec, images, apart))
        assert diary.losses(trainee.spec) == apart.losses(trainee.spec)
        assert len(trainee.spectra) == trainee.spec.epochs


def test_runs_meet_at_a_step_and_go_on_side_by_side(
    sample: LoadedData, graphs: list[RepeatedGraph]
) -> None:
    images, diary = sample.train.images, Diary()
    train_all(images, Trainee(DEPTHS[0], CPU), diary=diary)
    resumed, fresh = Trainee(DEPTHS[0], CPU), Trainee(DEPTHS[1], CPU)
    resumed.load_state_dict(diary.states[DEPTHS[0], 4])
    assert (resumed.side_by_side, len(graphs)) == (1, 1)
    assert train_all(images, resumed, fresh) == {}
    assert (resumed.side_by_side, fresh.side_by_side) == (2, 2)
    for trainee in (resumed, fresh):
        _same(trainee, _alone(trainee.spec, images))


def test_a_diverging_run_leaves_the_others(sample: LoadedData, graphs: list[RepeatedGraph]) -> None:
    good = [Trainee(spec, CPU) for spec in DEPTHS]
    bad = Trainee(replace(TINY, seed=9), CPU)
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("nan"))
    failures = train_all(sample.train.images, good[0], bad, *good[1:])
    assert set(failures) == {bad}
    assert isinstance(failures[bad], NonFiniteLossError)
    assert "between steps 0 and 2" in str(failures[bad])
    for trainee in good:
        _same(trainee, _alone(trainee.spec, sample.train.images))


@pytest.fixture
def companies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs took each step side by side, in order."""
    counts: list[int] = []
    advance = Recorded.advance

    def watched(self: Recorded) -> None:
        counts.append(len(self.members))
        advance(self)

    monkeypatch.setattr(Recorded, "advance", watched)
    return counts


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 7])
def test_runs_that_find_no_memory_side_by_side_are_halved(
    sample: LoadedData,
    graphs: list[RepeatedGraph],
    companies: list[int],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    """While steps are told (3 and 7 are of incomplete batches) and when one is recorded (4).

    No step of any run is done twice or left out.
    """
    images = sample.train.images
    group = [Trainee(replace(TINY, seed=seed, train_images=50), CPU) for seed in range(5)]
    take = Trainee.take_step

    def short(self: Trainee, images: torch.Tensor, chosen: torch.Tensor) -> None:
        if self is group[2] and self.step == step and companies[-1] > 2:
            raise torch.OutOfMemoryError("no memory")
        take(self, images, chosen)

    def full(self: RepeatedGraph, generator: torch.Generator) -> None:
        self.generators.append(generator)
        if step == 4 and len(self.generators) > 2:
            raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(Trainee, "take_step", short)
    monkeypatch.setattr(RepeatedGraph, "register_generator_state", full)
    diary, apart = Diary(), Diary()
    assert train_all(images, *group, diary=diary) == {}
    assert set(companies[: step + 1]) == {5}
    assert set(companies[step + 1 :]) <= {1, 2}
    monkeypatch.setattr(Trainee, "take_step", take)
    for trainee in group:
        _same(trainee, _alone(trainee.spec, images, apart))
        assert diary.losses(trainee.spec) == apart.losses(trainee.spec)
        assert len(trainee.spectra) == trainee.spec.epochs


@pytest.mark.usefixtures("graphs")
def test_a_run_that_fails_is_taken_out_and_the_others_go_on_together(
    sample: LoadedData, companies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sample.train.images
    group = [Trainee(replace(TINY, seed=seed), CPU) for seed in range(5)]
    take = Trainee.take_step

    def broken(self: Trainee, images: torch.Tensor, chosen: torch.Tensor) -> None:
        if self is group[2] and self.step == 1:
            raise ValueError("not this one")
        take(self, images, chosen)

    monkeypatch.setattr(Trainee, "take_step", broken)
    assert set(train_all(images, *group)) == {group[2]}
    assert (companies[0], companies[-1]) == (5, 4)
    monkeypatch.setattr(Trainee, "take_step", take)
    for trainee in [*group[:2], *group[3:]]:
        _same(trainee, _alone(trainee.spec, images))


def test_a_method_must_say_that_it_repeats() -> None:
    assert not Method("dae", "", lambda model, images, noise, spec: images.mean()).repeats


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_gpu_runs_side_by_side_follow_those_alone(sample: LoadedData, precision: str) -> None:
    gpu = torch.device("cuda")
    images = sample.train.images.to(gpu)
    group = [
        Trainee(replace(spec, precision=precision, train_images=50), gpu)
        for spec in (*DEPTHS, *METHODS, *LATENTS[1:])
    ]
    assert train_all(images, *group) == {}
    relative = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 2e-2}[precision]
    for trainee in group:
        assert trainee.side_by_side == len(group)
        alone = Trainee(trainee.spec, gpu)
        with arithmetic(precision, gpu):
            for _ in range(alone.spec.steps):
                alone.advance(images)
        losses = [_loss(each, images) for each in (trainee, alone)]
        assert losses[0] == pytest.approx(losses[1], rel=relative), trainee.spec.name


def _loss(trainee: Trainee, images: torch.Tensor) -> float:
    """Of the first images, under noise that does not depend on the steps before."""
    trainee.noise.manual_seed(0)
    with torch.no_grad() if trainee.spec.method != "rae-gp" else contextlib.nullcontext():
        inputs = images[:50].float() / 255
        return trainee.method.loss(trainee.model, inputs, trainee.noise, trainee.spec).item()


def _jobs(specs: list[TrainingSpec]) -> list[Job]:
    return [Job(spec.name, spec, (TINY_MEASUREMENT,)) for spec in specs]


def test_seeds_are_trained_in_turns_so_that_every_cell_has_one_first() -> None:
    specs = [replace(SHORT, depth=depth, seed=seed) for depth in (2, 4) for seed in (0, 1)]
    order = [job.training for (job,) in groups(_jobs(specs), "cpu")]
    assert [spec.seed for spec in order] == [0, 0, 1, 1]


def test_groups_are_of_runs_that_share_shapes_and_data() -> None:
    depths = [replace(SHORT, depth=depth) for depth in (2, 4, 12)]
    autoencoder = replace(SHORT, method="ae", depth=0)
    wide, long = replace(SHORT, latent_dim=16), replace(SHORT, epochs=9)
    specs = [*depths, wide, autoencoder, long]
    on_gpu = groups(_jobs(specs), "cuda")
    assert on_gpu == [_jobs([long]), _jobs([*depths, autoencoder]), _jobs([wide])]
    for most in (None, 8):
        alone = groups(_jobs(specs), "cpu", side_by_side=most)
        assert alone == [[job] for group in on_gpu for job in group]
    many = _jobs(depths * 7)
    assert [len(group) for group in groups(many, "cuda:1")] == [16, 5]
    assert [len(group) for group in groups(many, "cuda", side_by_side=8)] == [8, 8, 5]
    assert [len(group) for group in groups(_jobs(depths), "cuda", together=2)] == [2, 1]
    faces = replace(SHORT, dataset="toyfaces")
    narrow = replace(faces, width=1 / 32)
    assert [len(group) for group in groups(_jobs([faces] * 2), "cuda")] == [1, 1]
    assert [len(group) for group in groups(_jobs([narrow] * 2), "cuda")] == [2]


def test_side_by_side_is_refused_where_it_would_do_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--table", "4", "--device", "cpu", "--side-by-side", "4"]) == 2
    assert "--side-by-side is for GPUs; on a CPU, --jobs says" in capsys.readouterr().err
