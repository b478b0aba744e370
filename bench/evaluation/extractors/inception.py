"""The ``inception`` extractor: pytorch-fid's network with its published weights."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from pytorch_fid import inception as pytorch_fid
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import inception_v3
from torchvision.models.inception import BasicConv2d

from bench.evaluation.extractors import inception_weights

_SIZE = (299, 299)


def load(
    given: Path | None, device: torch.device, sha256: str = inception_weights.SHA256
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Load Inception from its weights file, which is downloaded where it is missing.

    The file is the given one, or the one in PyTorch's hub cache.

    Returns:
        The network: it maps float images (n, 3, height, width) in [0, 1] to features (n, 2048).

    Raises:
        BenchError: the file has another SHA-256, or cannot be fetched.
    """
    path = inception_weights.at_hand(given) or inception_weights.fetch()
    inception_weights.verify(path, sha256)
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = _folded(_network(state)).to(device)

    def features(images: torch.Tensor) -> torch.Tensor:
        resized = F.interpolate(images, _SIZE, mode="bilinear", align_corners=False)
        return network(2 * resized - 1).flatten(1)

    return features


def _network(state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The layers from images (n, 3, 299, 299) in [-1, 1] to pooled features (n, 2048, 1, 1).

    pytorch-fid's own constructor would download the weights, and would not check them.
    """
    whole = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    whole.Mixed_5b = pytorch_fid.FIDInceptionA(192, pool_features=32)
    whole.Mixed_5c = pytorch_fid.FIDInceptionA(256, pool_features=64)
    whole.Mixed_5d = pytorch_fid.FIDInceptionA(288, pool_features=64)
    whole.Mixed_6b = pytorch_fid.FIDInceptionC(768, channels_7x7=128)
    whole.Mixed_6c = pytorch_fid.FIDInceptionC(768, channels_7x7=160)
    whole.Mixed_6d = pytorch_fid.FIDInceptionC(768, channels_7x7=160)
    whole.Mixed_6e = pytorch_fid.FIDInceptionC(768, channels_7x7=192)
    whole.Mixed_7b = pytorch_fid.FIDInceptionE_1(1280)
    whole.Mixed_7c = pytorch_fid.FIDInceptionE_2(2048)
    whole.load_state_dict(state)
    # In the order in which images go through them; behind the pooling is what classifies.
    layers = [layer for name, layer in whole.named_children() if name not in ("dropout", "fc")]
    return nn.Sequential(*layers).eval()


def _folded(network: nn.Module) -> nn.Module:
    """The same network except for rounding, 1.4 times as fast on a CPU; see docs/performance.md."""
    for block in list(network.modules()):
        if isinstance(block, BasicConv2d):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    return network.to(memory_format=torch.channels_last)
