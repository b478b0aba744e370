"""Whatever one run's method, memory or device does: what is lost, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from bench.campaign import commands, worker
from bench.campaign.job import Job, Outcome, WorkerSettings
from bench.cli import main
from bench.data import dataset
from bench.data.images import LoadedData
from bench.errors import BenchError
from bench.evaluation.evaluate import evaluate
from bench.experiments.spec import TrainingSpec
from bench.models import device, methods
from bench.models.methods import vae
from bench.models.methods.method import Method
from bench.models.networks import Autoencoder
from bench.models.precision import arithmetic
from bench.store.folders import Store
from bench.store.identity import run_id
from bench.training import checkpoint, loop
from bench.training.trainee import NonFiniteLossError, Trainee
from tests.support.diary import train_all
from tests.support.tiny import PARAMETERS, TINY, TINY_MEASUREMENT

CPU = torch.device("cpu")
VAE = replace(TINY, method="vae", depth=0, parameters=PARAMETERS["vae"])
LAUNCH = "CUDA error: unspecified launch failure. CUDA kernel errors might be asynchronous"


@pytest.fixture(autouse=True)
def frequent_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_STEPS", 2)


def test_a_vae_that_diverges_is_a_run_that_failed(sample: LoadedData) -> None:
    """PyTorch's binary cross-entropy refuses what is not a number."""
    good, bad = Trainee(VAE, CPU), Trainee(replace(VAE, seed=1), CPU)
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("nan"))
    failures = train_all(sample.train.images, good, bad)
    assert list(failures) == [bad]
    assert isinstance(failures[bad], NonFiniteLossError)


def test_the_vaes_loss_is_pytorchs_to_the_bit(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Trainee(VAE, CPU)
    train_all(sample.train.images, ours)
    monkeypatch.setattr(vae, "_cross_entropy", F.binary_cross_entropy)
    theirs = Trainee(VAE, CPU)
    train_all(sample.train.images, theirs)
    for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception, int], TrainingSpec]:
    """Makes a method whose loss raises an error for seed 1, from some call on."""

    def make(error: Exception, calls: int) -> TrainingSpec:
        counted = {"calls": 0}

        def loss(
            model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
        ) -> torch.Tensor:
            counted["calls"] += spec.seed == 1
            if spec.seed == 1 and counted["calls"] > calls:
                raise error
            return (model(images) - images).square().mean()

        made = Method("faulty", "", loss)
        monkeypatch.setitem(methods._REGISTERED, "faulty", made)
        return replace(TINY, method="faulty", depth=0)

    return make


def test_whatever_a_method_raises_the_others_go_on(
    sample: LoadedData, faulty: Callable[[Exception, int], TrainingSpec]
) -> None:
    spec = faulty(ValueError("a mistake of one's own"), 2)
    group = [Trainee(replace(spec, seed=seed), CPU) for seed in range(3)]
    failures = train_all(sample.train.images, *group)
    assert {trainee.spec.seed: str(error) for trainee, error in failures.items()} == {
        1: "a mistake of one's own"
    }
    assert [trainee.step for trainee in group] == [12, 2, 12]


def test_a_failing_gpu_fails_no_run(
    sample: LoadedData, faulty: Callable[[Exception, int], TrainingSpec]
) -> None:
    spec = faulty(RuntimeError(LAUNCH), 0)
    with pytest.raises(BenchError, match=r"the GPU failed while training .* are kept"):
        train_all(sample.train.images, Trainee(replace(spec, seed=1), CPU))


@pytest.mark.parametrize(
    ("error", "memory", "failed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
        (RuntimeError("CUDA error: out of memory"), True, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True, 0),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, False),
        (MemoryError(), True, False),
        (RuntimeError(LAUNCH), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error in a text of one's own"), False, False),
    ],
)
def test_errors_of_memory_and_of_the_device_are_told_apart(
    error: Exception, memory: bool, failed: bool
) -> None:
    assert device.is_out_of_memory(error) is memory
    assert device.is_of_device(error) is bool(failed)


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="PyTorch before 2.8")
def test_an_accelerators_error_is_of_the_device_unless_memory_is_short() -> None:
    assert device.is_of_device(torch.AcceleratorError("unknown error"))
    assert not device.is_of_device(torch.AcceleratorError("CUDA error: out of memory"))
    assert device.is_out_of_memory(torch.AcceleratorError("CUDA error: out of memory"))


@pytest.fixture
def jobs(tmp_path: Path) -> tuple[list[Job], WorkerSettings]:
    fingerprint = dataset(TINY.dataset).fingerprint
    specs = [replace(TINY, seed=seed, epochs=1) for seed in range(2)]
    made = [Job(run_id(spec, fingerprint), spec, (TINY_MEASUREMENT,)) for spec in specs]
    return made, WorkerSettings(runs_dir=tmp_path / "runs", device="cpu")


def _outcomes(group: list[Job], settings: WorkerSettings) -> list[Outcome]:
    """What becomes of jobs, in their order."""
    outcomes = {outcome.run_id: outcome for outcome in worker.execute(group, settings)}
    return [outcomes[job.run_id] for job in group]


def test_a_gpu_that_fails_in_measuring_costs_no_weights(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    real = evaluate

    def fails(*arguments: object, **named: object) -> None:
        raise RuntimeError(LAUNCH)

    monkeypatch.setattr(worker, "evaluate", fails)
    with pytest.raises(BenchError, match="the GPU failed while measuring"):
        worker.execute(group, settings)
    store = Store(settings.runs_dir)
    for job in group:
        folder = store.read_folder(job.run_id)
        assert folder.trained is not None
        assert folder.has_weights
        assert folder.failure is None
    monkeypatch.setattr(worker, "evaluate", real)
    monkeypatch.setattr(worker, "train", None)
    assert all(outcome.measured for outcome in worker.execute(group, settings))


def test_a_failure_of_measuring_is_that_runs_alone_and_costs_no_weights(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    real = evaluate

    def fails(model: Autoencoder, training: TrainingSpec, *rest: object, **named: object) -> object:
        if training.seed == 0:
            raise ValueError("not this one")
        return real(model, training, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "evaluate", fails)
    first, second = _outcomes(group, settings)
    assert first.failure is not None
    assert "ValueError: not this one" in first.failure.reason
    assert second.measured
    assert Store(settings.runs_dir).read_folder(group[0].run_id).has_weights


def test_memory_that_is_short_in_measuring_is_tried_again_by_the_next_command(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    real = evaluate

    def short(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(worker, "evaluate", short)
    for outcome in worker.execute(group, settings):
        assert outcome.failure is not None
        assert "out of memory" in outcome.failure.reason
        assert Store(settings.runs_dir).read_folder(outcome.run_id).failure is None
    monkeypatch.setattr(worker, "evaluate", real)
    monkeypatch.setattr(worker, "train", None)
    assert all(outcome.measured for outcome in worker.execute(group, settings))


def test_memory_that_is_short_when_a_model_is_built_fails_that_run_alone(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    real = checkpoint.resume

    def resume(name: str, spec: TrainingSpec, *rest: object) -> Trainee:
        if spec.seed == 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(name, spec, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "resume", resume)
    first, second = _outcomes(group, settings)
    assert first.failure is not None
    assert "out of memory" in first.failure.reason
    assert second.measured


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU that can be used")
def test_a_device_that_cannot_be_used_says_why_in_one_line() -> None:
    assert device.why_unusable(CPU) == ""
    reason = device.why_unusable(torch.device("cuda"))
    assert reason
    assert "\n" not in reason


OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def test_a_driver_that_is_too_old_is_found_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "gpu_count", lambda: 1)
    monkeypatch.setattr(device, "why_unusable", lambda device: OLD)
    command = ["--table", "4", "--plan", "--runs-dir", str(tmp_path)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err.strip() == f"on the CPU, since the GPU cannot be used: {OLD}"
    assert "profile quick" in captured.out
    assert main([*command, "--device", "cuda"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert OLD in line
    monkeypatch.setattr(device, "why_unusable", lambda device: "")
    assert main(command) == 0
    assert "profile paper" in capsys.readouterr().out
