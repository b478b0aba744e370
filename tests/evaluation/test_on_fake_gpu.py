"""Measuring on a GPU that is not there, through every extractor."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.data import dataset
from bench.data.images import LoadedData, Split
from bench.evaluation import reference
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import EXTRACTORS, declared_extractor, inception_weights
from bench.models.networks import initial_model
from tests.support.fake_gpu import AVAILABLE, GPU, fake_gpu
from tests.support.measuring import measured
from tests.support.tiny import TINY, tiny

pytestmark = pytest.mark.skipif(
    not AVAILABLE, reason="fake CUDA tensors need a CUDA build of PyTorch"
)


@pytest.fixture(autouse=True)
def nothing_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "load_tensors", lambda path: None)
    monkeypatch.setattr(reference, "save_tensors", lambda path, value: None)
    monkeypatch.setattr(inception_weights, "verify", lambda path, sha256: None)
    monkeypatch.setattr(inception_weights, "at_hand", lambda given: Path("weights.pth"))


def _extractor(name: str) -> Extractor:
    """An extractor as on a real GPU, with weights that were never read."""
    return Extractor.load(declared_extractor(name, dataset("mnist-sample")), GPU)


def _data() -> LoadedData:
    def split(count: int) -> Split:
        images = torch.zeros(count, 1, 32, 32, dtype=torch.uint8)
        return Split(images, torch.zeros(count, 1, dtype=torch.int64))

    return LoadedData(split(64), split(32), "")


def _evaluate(method: str, extractor: Extractor, cache: Path) -> Evaluation:
    model = initial_model(tiny(method)).to(GPU).eval()
    with warnings.catch_warnings():
        # The mixtures' covariances are made up.
        warnings.simplefilter("ignore", RuntimeWarning)
        return measured(model, tiny(method), _data(), extractor=extractor, cache=cache)


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *arguments, **named: {})
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda self, state: None)


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("method", ["ae", "vae"])
def test_a_model_is_measured_through_every_extractor(
    name: str, method: str, tmp_path: Path
) -> None:
    with fake_gpu():
        found = _evaluate(method, _extractor(name), tmp_path)
    assert found.images["samples"].shape == (500, 1, 32, 32)
    assert len(found.metrics["spectrum"]) == TINY.latent_dim
    assert ("prior" in found.metrics["fid"]) == (method == "vae")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda e: replace(e, device=torch.device("cpu")), id="images"),
        pytest.param(lambda e: replace(e, network=lambda i: e.network(i).cpu()), id="features"),
    ],
)
def test_what_stays_on_the_cpu_is_refused(
    wrong: Callable[[Extractor], Extractor], tmp_path: Path
) -> None:
    """Images that are not taken to the network; features that leave its device."""
    with fake_gpu():
        extractor = wrong(_extractor("classifier"))
        with pytest.raises((RuntimeError, TypeError)):
            _evaluate("ae", extractor, tmp_path)


def test_numbers_are_read_from_the_cpu_alone() -> None:
    with fake_gpu():
        assert isinstance(torch.zeros(3).numpy(), np.ndarray)
        with pytest.raises(TypeError, match="cuda"):
            torch.zeros(3, device=GPU).numpy()
