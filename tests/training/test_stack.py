from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.campaign.job import Job
from bench.campaign.plan import groups
from bench.cli import main
from bench.data.images import LoadedData
from bench.evaluation.spectrum import rank, spectrum
from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.tensors import owned, save_tensors
from bench.training import loop
from bench.training.stack import Stack, signature
from bench.training.trainee import NonFiniteLossError, Trainee
from tests.support.diary import Diary, train_all
from tests.support.results import results_in
from tests.support.tiny import PARAMETERS, TINY, TINY_ARGUMENTS, TINY_MEASUREMENT

CPU = torch.device("cpu")
SHORT = replace(TINY, epochs=1)
GROUPS = {
    "depths": [
        replace(SHORT, depth=depth, init_scale=scale)
        for depth, scale in ((2, 4.0), (4, 2.0), (12, 1.0))
    ],
    "seeds": [replace(SHORT, seed=seed, train_images=50, epochs=2) for seed in (0, 1, 2)],
    "autoencoder": [SHORT, replace(SHORT, method="ae", depth=0), replace(SHORT, depth=4)],
    "shape": [replace(SHORT, dataset="shape", seed=seed, depth=1 + seed) for seed in (0, 1)],
    "faces": [replace(SHORT, dataset="toyfaces", width=1 / 64, depth=depth) for depth in (1, 4)],
    "rae-l2": [
        replace(SHORT, method="rae-l2", depth=0, parameters=PARAMETERS["rae-l2"], seed=seed)
        for seed in (0, 1)
    ],
}


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Double precision, one thread, and a line of history every second step."""
    monkeypatch.setattr(loop, "LOG_STEPS", 2)
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


def _images(spec: TrainingSpec, sample: LoadedData) -> torch.Tensor:
    if spec.dataset == TINY.dataset:
        return sample.train.images
    size = 32 if spec.dataset == "shape" else 64
    generator = torch.Generator().manual_seed(0)
    shape = (spec.train_images, 3, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def _close(ours: Trainee, theirs: Trainee) -> None:
    named = dict(theirs.model.named_parameters())
    for name, parameter in ours.model.named_parameters():
        torch.testing.assert_close(parameter, named[name], rtol=1e-9, atol=1e-9)
        assert parameter.stride() == named[name].stride()


@pytest.mark.parametrize("name", GROUPS)
def test_a_stacked_run_is_the_run_alone(sample: LoadedData, name: str) -> None:
    specs = GROUPS[name]
    images = _images(specs[0], sample)
    together, diary, alone = [Trainee(spec, CPU) for spec in specs], Diary(), Diary()
    assert len({signature(trainee) for trainee in together}) == 1
    assert train_all(images, *together, diary=diary) == {}
    assert {trainee.stacked for trainee in together} == {len(specs)}
    for trainee in together:
        single = Trainee(trainee.spec, CPU)
        train_all(images, single, diary=alone)
        assert single.stacked == 1
        _close(trainee, single)
        assert diary.losses(trainee.spec) == pytest.approx(alone.losses(trainee.spec), rel=1e-9)
        inputs = images[:40] / 255
        with torch.no_grad():
            codes = [t.model.codes(inputs).numpy() for t in (trainee, single)]
        assert rank(spectrum(codes[0])) == rank(spectrum(codes[1]))


def test_a_stacked_run_is_resumed_alone_and_in_other_company(sample: LoadedData) -> None:
    specs, diary = [replace(TINY, depth=depth) for depth in (2, 4, 8)], Diary()
    train_all(sample.train.images, *(Trainee(spec, CPU) for spec in specs), diary=diary)
    steps = specs[0].steps
    whole = Trainee(specs[1], CPU)
    whole.load_state_dict(diary.states[specs[1], steps])
    # One from the start, one from a checkpoint: they meet at its step, and go on as one.
    resumed, fresh = Trainee(specs[1], CPU), Trainee(specs[2], CPU)
    resumed.load_state_dict(diary.states[specs[1], 4])
    assert train_all(sample.train.images, resumed, fresh) == {}
    assert (resumed.stacked, fresh.stacked) == (3, 2)
    _close(resumed, whole)
    alone = Trainee(specs[1], CPU)
    alone.load_state_dict(diary.states[specs[1], 8])
    train_all(sample.train.images, alone)
    _close(alone, whole)


def test_a_diverging_run_leaves_the_stack(sample: LoadedData) -> None:
    good = [Trainee(spec, CPU) for spec in GROUPS["seeds"]]
    bad = Trainee(replace(good[0].spec, seed=9), CPU)
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("nan"))
    failures = train_all(sample.train.images, good[0], bad, *good[1:])
    assert set(failures) == {bad}
    assert isinstance(failures[bad], NonFiniteLossError)
    assert "between steps 0 and 2" in str(failures[bad])
    for trainee in good:
        alone = Trainee(trainee.spec, CPU)
        train_all(sample.train.images, alone)
        _close(trainee, alone)


def test_a_stack_that_finds_no_memory_is_halved(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    advance = Stack.advance

    def limited(self: Stack, images: torch.Tensor) -> None:
        sizes.append(len(self.members))
        # In the middle of a line of history, after some steps.
        if (len(self.members) > 2 and self.step == 3) or self.step == 5:
            raise torch.OutOfMemoryError("no memory")
        advance(self, images)

    monkeypatch.setattr(Stack, "advance", limited)
    group = [Trainee(replace(TINY, seed=seed, epochs=2), CPU) for seed in range(5)]
    diary, alone = Diary(), Diary()
    assert train_all(sample.train.images, *group, diary=diary) == {}
    assert sizes[0] == 5
    assert set(sizes) == {5, 2}
    assert {trainee.step for trainee in group} == {8}
    for trainee in group:
        single = Trainee(trainee.spec, CPU)
        train_all(sample.train.images, single, diary=alone)
        _close(trainee, single)
        assert diary.losses(trainee.spec) == pytest.approx(alone.losses(trainee.spec), rel=1e-9)


def test_what_cannot_be_stacked_trains_beside_the_stack(sample: LoadedData) -> None:
    torch.set_default_dtype(torch.float32)
    names = ("vae", "wae-mmd", "rae-gp", "rae-sn")
    specs = [
        replace(SHORT, method=name, depth=0, parameters=PARAMETERS[name], seed=seed)
        for name in names
        for seed in (0, 1)
    ]
    specs += [SHORT, replace(SHORT, seed=1)]
    group = [Trainee(spec, CPU) for spec in specs]
    assert train_all(sample.train.images, *group) == {}
    assert [trainee.stacked for trainee in group] == [1] * 8 + [2] * 2
    for trainee in group[:8]:
        alone = Trainee(trainee.spec, CPU)
        train_all(sample.train.images, alone)
        for ours, theirs in zip(trainee.model.parameters(), alone.model.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_half_precision_is_not_stacked(sample: LoadedData) -> None:
    """Autocast has no effect under ``vmap``: they would train in fp32, and say otherwise."""
    torch.set_default_dtype(torch.float32)
    group = [Trainee(replace(SHORT, precision="bf16", seed=seed), CPU) for seed in (0, 1)]
    assert train_all(sample.train.images, *group) == {}
    assert [trainee.stacked for trainee in group] == [1, 1]


def test_signatures_keep_apart_what_differs() -> None:
    base = signature(Trainee(TINY, CPU))
    for change in (
        {"latent_dim": 16},
        {"batch_size": 8},
        {"learning_rate": 1e-3},
        {"epochs": 2},
        {"train_images": 48},
        {"shuffle": False},
    ):
        assert signature(Trainee(replace(TINY, **change), CPU)) != base
    assert not Method("dae", "", lambda model, images, noise, spec: images.mean()).stacks


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "relative"), [("fp32", 1e-4), ("tf32", 1e-2)])
def test_on_a_gpu_stacked_runs_follow_those_alone(
    sample: LoadedData, precision: str, relative: float
) -> None:
    torch.set_default_dtype(torch.float32)
    gpu = torch.device("cuda")
    images = sample.train.images.to(gpu)
    group = [Trainee(replace(spec, precision=precision), gpu) for spec in GROUPS["depths"]]
    diary, alone = Diary(), Diary()
    assert train_all(images, *group, diary=diary) == {}
    for trainee in group:
        assert trainee.stacked == len(group)
        train_all(images, Trainee(trainee.spec, gpu), diary=alone)
        losses = alone.losses(trainee.spec)
        assert diary.losses(trainee.spec) == pytest.approx(losses, rel=relative)


def _jobs(specs: list[TrainingSpec]) -> list[Job]:
    return [Job(spec.name, spec, TINY_MEASUREMENT) for spec in specs]


def test_seeds_are_trained_in_turns_so_that_every_cell_has_one_first() -> None:
    specs = [replace(SHORT, depth=depth, seed=seed) for depth in (2, 4) for seed in (0, 1)]
    order = [job.training for (job,) in groups(_jobs(specs), "cpu")]
    assert [spec.seed for spec in order] == [0, 0, 1, 1]


def test_a_stacked_run_is_kept_without_its_company(sample: LoadedData, tmp_path: Path) -> None:
    """Its weights and moments are views of those of the whole stack."""
    torch.set_default_dtype(torch.float32)
    alone, *stacked = [Trainee(replace(SHORT, seed=seed), CPU) for seed in range(5)]
    train_all(sample.train.images, alone)
    train_all(sample.train.images, *stacked)
    sizes = []
    for trainee in (alone, stacked[0]):
        save_tensors(tmp_path / "checkpoint.pt", owned(trainee.state_dict()))
        sizes.append((tmp_path / "checkpoint.pt").stat().st_size)
    assert stacked[0].stacked == 4
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)


def test_groups_are_of_runs_that_share_shapes_and_data() -> None:
    depths, autoencoder = GROUPS["depths"], replace(SHORT, method="ae", depth=0)
    wide, long = replace(SHORT, latent_dim=16), replace(SHORT, epochs=9)
    specs = [*depths, wide, autoencoder, long]
    on_gpu = groups(_jobs(specs), "cuda")
    assert on_gpu == [_jobs([long]), _jobs([*depths, autoencoder]), _jobs([wide])]
    assert groups(_jobs(specs), "cpu") == [[job] for group in on_gpu for job in group]
    many = _jobs(depths * 7)
    assert [len(group) for group in groups(many, "cuda:1")] == [16, 5]
    assert [len(group) for group in groups(many, "cuda", stack=8)] == [8, 8, 5]
    assert [len(group) for group in groups(_jobs(depths), "cuda", together=2)] == [2, 1]
    faces = replace(SHORT, dataset="toyfaces")
    narrow = replace(faces, width=1 / 32)
    assert [len(group) for group in groups(_jobs([faces] * 2), "cuda")] == [1, 1]
    assert [len(group) for group in groups(_jobs([narrow] * 2), "cuda")] == [2]


def test_a_stacked_table_has_the_numbers_of_one_run_after_another(
    tmp_path: Path, runs_dir: Path
) -> None:
    torch.set_default_dtype(torch.float32)
    command = ["--table", "4", *TINY_ARGUMENTS, "--jobs", "1", "--only", "*-l[24]-*"]
    command += [f"--{name}-dir={tmp_path / name}" for name in ("tables", "figures")]
    assert main([*command, "--runs-dir", str(runs_dir)]) == 0
    assert main([*command, "--runs-dir", str(tmp_path / "stacked"), "--stack", "4"]) == 0
    alone, stacked = (
        {result.run_id: result for result in results_in(folder)}
        for folder in (runs_dir, tmp_path / "stacked")
    )
    assert len(alone) == 2
    assert alone.keys() == stacked.keys()
    for run_id, theirs in alone.items():
        ours = stacked[run_id]
        made = [result.trained.provenance["stacked"] for result in (theirs, ours)]
        assert made == [1, 2]
        assert rank(ours.metrics["spectrum"]) == rank(theirs.metrics["spectrum"])
        assert ours.metrics["test_mse"] == pytest.approx(theirs.metrics["test_mse"], rel=1e-4)
