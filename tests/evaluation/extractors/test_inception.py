"""Inception against pytorch-fid's own network, with weights that tests make."""

import io
import pickle
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from torchvision.models import inception_v3

from bench.data.images import LoadedData
from bench.errors import BenchError
from bench.evaluation.extractors import inception, inception_weights
from bench.files import file_sha256

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of the published file, which cannot be had offline."""
    torch.manual_seed(0)
    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            # As if it had seen images.
            module.train()(3 * torch.randn(8, module.num_features, 2, 2) + 1)
    path = tmp_path_factory.mktemp("weights") / inception_weights.NAME
    torch.save(network.state_dict(), path)
    return path


def test_inception_is_pytorch_fids_network(inception_file: Path, sample: LoadedData) -> None:
    network = inception.load(inception_file, CPU, file_sha256(inception_file))
    images = sample.test.images[:2].float() / 255
    state = torch.load(inception_file, weights_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: state)
        reference = pytorch_fid.InceptionV3().eval()
    with torch.no_grad():
        expected = reference(images.expand(-1, 3, -1, -1))[0].flatten(1).numpy()
        features = network(images.expand(-1, 3, -1, -1))
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_inception_weights_of_another_hash_are_refused(inception_file: Path) -> None:
    with pytest.raises(BenchError, match="pinned to; fetch pytorch-fid's"):
        inception.load(inception_file, CPU)


def test_a_pickle_in_place_of_weights_is_not_run(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "was here",))

    path = tmp_path / "inception_weights.pth"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(pickle.UnpicklingError):
        inception.load(path, CPU, file_sha256(path))
    assert not (tmp_path / "was here").exists()


def test_weights_are_looked_for_where_pytorch_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    assert inception_weights.hub_path() == folder / inception_weights.NAME


class _Answer(io.BytesIO):
    """What a host sends, as urllib hands it on."""

    def info(self) -> Message:
        return Message()


def test_downloaded_weights_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", lambda request: _Answer(b"<html>"))
    with pytest.raises(BenchError, match="invalid hash value"):
        inception_weights.fetch()
    assert not list(tmp_path.rglob("*.pth"))
