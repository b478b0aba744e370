"""A run that fails, or a GPU that fails while a run is measured: what is lost and what is not."""

import gc
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from bench.campaign import worker
from bench.campaign.job import Job, WorkerSettings
from bench.campaign.runs import identity_of
from bench.data import dataset, register_dataset
from bench.data.images import LoadedData
from bench.errors import BenchError
from bench.evaluation.evaluate import Evaluation, evaluate
from bench.evaluation.extractors import REGISTERED_EXTRACTORS, Network
from bench.experiments.spec import TrainingSpec
from bench.files import lock
from bench.models.networks import Autoencoder
from bench.store.folders import RunFolder, Store, read_spectra
from bench.store.identity import run_id
from bench.store.records import TrainingRecord
from bench.training import checkpoint
from bench.training.run_in_training import RunInTraining
from tests.support.corner import CORNER
from tests.support.diary import Diary, train_all
from tests.support.tiny import TINY, TINY_MEASUREMENT, tiny

SHORT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def jobs(tmp_path: Path) -> tuple[list[Job], WorkerSettings]:
    fingerprint = dataset(TINY.dataset).fingerprint
    specs = [replace(TINY, seed=seed, epochs=1) for seed in range(2)]
    made = [Job(run_id(spec, fingerprint), spec, (TINY_MEASUREMENT,)) for spec in specs]
    return made, WorkerSettings(runs_dir=tmp_path / "runs", device="cpu")


def _ended(group: list[Job], settings: WorkerSettings) -> list[RunFolder]:
    """What becomes of jobs, in their order."""
    ended = {folder.run_id: folder for folder in worker.execute(group, settings)}
    return [ended[job.run_id] for job in group]


def test_a_run_of_another_process_is_waited_for_until_it_is_time_to_stop(
    jobs: tuple[list[Job], WorkerSettings],
) -> None:
    group, settings = jobs
    path = Store(settings.runs_dir).lock_path(group[0].run_id)
    patient = replace(settings, wait=True, stop_at=time.time() + 0.2)
    with lock(path):
        assert worker.execute(group[:1], patient) == []
    assert not Store(settings.runs_dir).checkpoint(group[0].run_id).exists()


def test_a_run_of_another_process_is_trained_here_where_that_one_ends(
    jobs: tuple[list[Job], WorkerSettings],
) -> None:
    group, settings = jobs
    path = Store(settings.runs_dir).lock_path(group[0].run_id)
    taken, ended = threading.Event(), threading.Event()

    def other() -> None:
        with lock(path):
            taken.set()
            ended.wait()

    holding = threading.Thread(target=other, daemon=True)
    holding.start()
    taken.wait()
    assert worker.execute(group[:1], settings) == []
    threading.Timer(0.2, ended.set).start()
    (folder,) = worker.execute(group[:1], replace(settings, wait=True))
    holding.join()
    assert folder.measured


def test_a_gpu_that_fails_in_measuring_costs_no_weights(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    failure = RuntimeError("CUDA error: unspecified launch failure")
    with monkeypatch.context() as patch:
        patch.setattr(worker, "evaluate", mock.Mock(side_effect=failure))
        with pytest.raises(BenchError, match="the GPU failed while measuring"):
            worker.execute(group, settings)
    _are_trained_and_only_measured(group, settings, monkeypatch)


def test_a_run_is_tried_once_more_by_each_command_that_asks_for_it(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    store, run_id = Store(settings.runs_dir), group[0].run_id
    tries = mock.Mock(side_effect=ArithmeticError("loss is nan"))
    monkeypatch.setattr(checkpoint, "resume", tries)
    worker.execute(group[:1], settings)
    failure = store.folder(run_id) / "failure.json"
    os.utime(failure, (1, 1))
    asked = replace(settings, retried_since=2.0)
    for _ in range(2):
        # A failure of after the command's beginning is its own, or another's.
        worker.execute(group[:1], asked)
    assert tries.call_count == 2
    worker.execute(group[:1], replace(asked, stop_at=0.0, retried_since=time.time() + 9))
    assert failure.exists()


def test_memory_that_is_short_in_measuring_is_tried_again_by_the_next_command(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    with monkeypatch.context() as patch:
        patch.setattr(worker, "evaluate", mock.Mock(side_effect=SHORT_OF_MEMORY))
        for folder in worker.execute(group, settings):
            assert folder.failure is not None
            assert "out of memory" in folder.failure.reason
    _are_trained_and_only_measured(group, settings, monkeypatch)


def _are_trained_and_only_measured(
    group: list[Job], settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs have weights and no failure, and need no further training."""
    for job in group:
        folder = Store(settings.runs_dir).read_folder(job.run_id)
        assert folder.trained is not None
        assert folder.has_weights
        assert folder.failure is None
    monkeypatch.setattr(worker, "train", None)
    assert all(folder.measured for folder in worker.execute(group, settings))


def test_a_record_that_cannot_be_read_again_fails_its_run_alone(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    write = Store.write_trained

    def garbled(store: Store, record: TrainingRecord) -> None:
        write(store, record)
        if record.spec.seed == 0:
            path = store.folder(record.run_id) / "training.json"
            path.write_text(path.read_text().replace("cpu", "CPU"))

    monkeypatch.setattr(Store, "write_trained", garbled)
    first, second = _ended(group, settings)
    assert first.failure is not None
    assert "training.json: altered since it was written" in first.failure.reason
    assert second.measured


def _fails_for_seed_0(real: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    def function(first: object, spec: TrainingSpec, *rest: object, **named: object) -> object:
        if spec.seed == 0:
            raise error
        return real(first, spec, *rest, **named)

    return function


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (worker, "evaluate", ValueError("not this one")),
        (checkpoint, "resume", SHORT_OF_MEMORY),
    ],
)
def test_a_run_that_cannot_be_measured_or_built_fails_alone(
    jobs: tuple[list[Job], WorkerSettings],
    monkeypatch: pytest.MonkeyPatch,
    owner: ModuleType,
    name: str,
    error: Exception,
) -> None:
    group, settings = jobs
    monkeypatch.setattr(owner, name, _fails_for_seed_0(getattr(owner, name), error))
    first, second = _ended(group, settings)
    assert first.failure is not None
    assert str(error) in first.failure.reason
    assert second.measured
    folder = Store(settings.runs_dir).read_folder(group[0].run_id)
    assert folder.has_weights == (name == "evaluate")
    # The next command tries what found no memory again.
    assert (folder.failure is None) == (error is SHORT_OF_MEMORY)


def test_a_failed_run_holds_no_memory(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error's frames hold the group, which would stay until Python collects cycles."""
    group, settings = jobs
    alive, build = weakref.WeakSet[RunInTraining](), RunInTraining.__init__

    def built(self: RunInTraining, spec: TrainingSpec, device: torch.device) -> None:
        build(self, spec, device)
        alive.add(self)

    def step(self: RunInTraining, images: torch.Tensor, chosen: torch.Tensor) -> None:
        raise ValueError("not this one")

    monkeypatch.setattr(RunInTraining, "__init__", built)
    monkeypatch.setattr(RunInTraining, "take_step", step)
    gc.disable()
    try:
        ended = _ended(group, settings)
        assert all(folder.failure for folder in ended)
        assert not alive
    finally:
        gc.enable()


def test_images_of_earlier_weights_are_not_kept(
    jobs: tuple[list[Job], WorkerSettings],
) -> None:
    """Which another extractor's measurement of them may have left."""
    group, settings = jobs
    folder, _ = _ended(group, settings)
    store = Store(settings.runs_dir)
    (record,) = folder.measured
    other = replace(record, spec=replace(record.spec, extractor="imagenet"))
    stale = folder.path / f"measured-{other.identity}.npz"
    stale.write_bytes(b"images of other weights")
    assert folder.trained is not None
    evaluation = Evaluation(record.metrics, {}, {})
    worker._Group(group, store, settings)._keep(other, folder.trained, evaluation)
    assert not stale.exists()
    assert (folder.path / f"measured-{record.identity}.npz").exists()


FEW = """
from bench.data.images import LoadedData, Split
from bench.data.mnist import load as whole

def in_floats(split):
    return Split(split.images / 255, split.labels)

def load(dataset, data_dir):
    data = whole(dataset, data_dir)
    return LoadedData(data.train.spread(9), data.test, "")
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def load(dataset, data_dir):\n    raise KeyError('labels')", "KeyError: 'labels'"),
        ("import no_such_module", "No module named 'no_such_module'"),
        (FEW, "train images are torch.uint8 (9, 1, 32, 32), where torch.uint8 (1024, 1, 32, 32)"),
        (
            FEW.replace("data.train.spread(9)", "in_floats(data.train)"),
            "train images are torch.float32",
        ),
        ("def load(dataset, data_dir):\n    return None", "AttributeError: 'NoneType'"),
        ("def load(dataset, data_dir):\n    raise SystemExit('bye')", "SystemExit: bye"),
        ("def load(dataset, data_dir):\n    open('/nowhere/x')", "cannot use /nowhere/x: No such"),
    ],
)
def test_what_a_data_sets_own_module_does_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    (tmp_path / "wrong_data.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_data", raising=False)
    declared = replace(dataset("mnist-sample"), module="wrong_data")
    with pytest.raises(BenchError, match=f"data set mnist-sample: .*{re.escape(said)}"):
        declared.load(tmp_path)


def test_what_an_extractor_does_wrong_is_named(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    ((job, *_), settings) = jobs
    spec = replace(TINY_MEASUREMENT, extractor="wrong")
    job = replace(job, measurements=(spec,))

    def boom(images: torch.Tensor) -> torch.Tensor:
        raise ValueError("boom")

    def load(network: Network, device: torch.device) -> Network:
        return network

    def leave(images: torch.Tensor) -> torch.Tensor:
        raise SystemExit("bye")

    wrong = ((boom, "ValueError: boom"), (leave, "SystemExit: bye"))
    for network, said in (*wrong, (torch.flatten, "12 are declared")):
        declared = replace(CORNER, name="wrong", source=said, load=partial(load, network))
        monkeypatch.setitem(REGISTERED_EXTRACTORS, "wrong", declared)
        with pytest.raises(BenchError, match=f"extractor wrong: .*{said}"):
            worker.fetch(job, settings)


def _job(spec: TrainingSpec, **measurement: int) -> Job:
    measured = replace(TINY_MEASUREMENT, **measurement)  # type: ignore[arg-type]
    return Job(identity_of(spec), spec, (measured,))


def test_a_run_is_trained_and_fitted_on_its_images_and_seen_on_test_images(
    jobs: tuple[list[Job], WorkerSettings], sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings = jobs
    monkeypatch.setattr(worker, "_LEAST_IN_SPECTRUM", 40)
    job = _job(tiny("pca", epochs=1), test_images=40)
    (folder,) = worker.execute([job], settings)
    state = torch.load(folder.path / "weights.pt", weights_only=True)
    mean = (sample.train.spread(64).images / 255).mean(dim=0).flatten()
    torch.testing.assert_close(state["encoder.directions.mean"], mean)
    (record,) = folder.measured
    spectra = read_spectra(folder.path)
    assert spectra is not None
    # The spectrum of the last epoch and the measured one are of the same forty test images.
    np.testing.assert_allclose(spectra[-1], record.metrics["spectrum"], rtol=1e-6)
    assert folder.trained is not None
    assert folder.trained.spectra_images == 40
    # Of 64 training images one set of forty, as many as samples, can be made.
    assert len(record.metrics["real_images"]["fid"]) == 1


def test_a_model_is_measured_as_it_is_used(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch norms take their running statistics, and spectral norms stay."""
    group, settings = jobs
    training: list[bool] = []

    def watched(model: Autoencoder, *rest: Any) -> Evaluation:
        training.append(model.training)
        return evaluate(model, *rest)

    monkeypatch.setattr(worker, "evaluate", watched)
    worker.execute(group, settings)
    assert training == [False, False]


def test_a_run_that_is_made_anew_does_not_go_on_from_a_shorter_one(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, settings = jobs
    worker.execute(group[:1], settings)
    longer = _job(replace(group[0].training, epochs=2))
    seen: list[int] = []
    resume = checkpoint.resume

    def watched(*arguments: Any, **named: Any) -> Any:
        run = resume(*arguments, **named)
        seen.append(run.step)
        return run

    monkeypatch.setattr(checkpoint, "resume", watched)
    worker.execute([longer], replace(settings, anew_since=time.time() + 9))
    assert seen == [0]


@pytest.mark.parametrize("threads", [1, 2])
def test_samplers_are_fitted_with_a_workers_threads(
    jobs: tuple[list[Job], WorkerSettings], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """NumPy's products are rounded by their number, too."""
    group, settings = jobs
    seen: set[int] = set()

    def watched(*arguments: Any) -> Evaluation:
        pools = threadpool_info()
        seen.update(each["num_threads"] for each in pools if each["user_api"] == "blas")
        return evaluate(*arguments)

    monkeypatch.setattr(worker, "evaluate", watched)
    worker.execute(group[:1], replace(settings, threads=threads))
    assert seen == {threads}


def test_a_run_goes_on_with_the_threads_that_it_began_with(
    jobs: tuple[list[Job], WorkerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer runs may be left than before, and more cores for each."""
    (short, _), settings = jobs
    longer = _job(replace(short.training, epochs=2))
    (whole,) = worker.execute([longer], replace(settings, runs_dir=tmp_path / "whole"))
    worker.execute([short], settings)
    seen: set[int] = set()
    record_spectrum = RunInTraining.record_spectrum

    def watched(run: RunInTraining, *images: Any) -> None:
        pools = threadpool_info()
        seen.update(each["num_threads"] for each in pools if each["user_api"] == "blas")
        record_spectrum(run, *images)

    monkeypatch.setattr(RunInTraining, "record_spectrum", watched)
    (folder,) = worker.execute([longer], replace(settings, threads=2))
    # NumPy's products too, behind the spectrum.
    assert seen == {1}
    assert whole.trained
    assert folder.trained
    assert folder.trained.provenance["threads"] == 1
    assert folder.trained.weights_sha256 == whole.trained.weights_sha256
    # What is measured afterwards has all of them.
    assert [record.provenance["threads"] for record in folder.measured] == [2]


def test_data_that_are_others_by_now_are_loaded_anew(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        content: dict[str, str | int] = {"generator": "shape", "version": 1, "seed": seed}
        few = replace(dataset("shape"), name="few", content=content, train=9, test=9)
        register_dataset(few, replace=True)
        found.append(worker._load(few, tmp_path).train.checksum)
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("name", "losses"),
    [
        ("vae", [0.4797766, 0.4953762, 0.4869487]),
        ("rae-sn", [0.2779392, 0.3089005, 0.2943254]),
        ("nested-dropout", [0.2869610, 0.3183832, 0.3036523]),
    ],
)
def test_noise_and_norms_are_drawn_as_they_were(
    sample: LoadedData, name: str, losses: list[float]
) -> None:
    """Whoever changes how they are drawn raises TRAINING_PROTOCOL."""
    diary, run = Diary(), RunInTraining(tiny(name, seed=1), torch.device("cpu"))
    train_all(sample.train.images, run, diary=diary)
    assert diary.losses(run.spec)[::2] == pytest.approx(losses, rel=1e-4)


def test_a_run_has_the_numbers_that_it_had(jobs: tuple[list[Job], WorkerSettings]) -> None:
    """Whoever changes them raises TRAINING_PROTOCOL, or the version of a metric."""
    _, settings = jobs
    spec = tiny("irmae", seed=1, init_scale=2.0, learning_rate=1e-3, train_images=600)
    (folder,) = worker.execute([_job(spec, test_images=300, fid_samples=150)], settings)
    metrics = folder.measured[0].metrics
    assert metrics["spectrum"][:3] == pytest.approx([0.19078, 3.677e-4, 1.2473e-4], rel=0.03)
    errors = [metrics[name] for name in ("train_mse", "test_mse", "mean_image_mse")]
    assert errors == pytest.approx([0.053347, 0.053403, 0.05547954], rel=1e-3)
    assert metrics["fid"]["real"] == pytest.approx(280.701, rel=1e-3)
    fids = [metrics["fid"][name] for name in ("reconstruction", "gmm10", "mvg")]
    assert fids == pytest.approx([3037.9, 3042.2, 3045.1], rel=1e-3)
