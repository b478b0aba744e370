"""An extractor of your own: copy this file, change the two marked places, and name it.

    python run_all.py --table 4 --plugin my_extractor.py --extractor resnet18 --extractor classifier

Nothing in the package needs to change. Tables, figures and verdicts get a block of the numbers that
are seen through it. Runs whose weights are at hand are measured, not trained again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.evaluation.extractors import DeclaredExtractor, Network, register_extractor
from bench.files import file_sha256

# PyTorch takes seconds to import: inside functions, so that --plan and --collect stay fast.
if TYPE_CHECKING:
    import torch

# The weights that torchvision publishes for ResNet-18, beside this file. Numbers are filed under
# their SHA-256, so that those of other weights are never mixed in.
WEIGHTS = Path(__file__).parent / "resnet18-f37072fd.pth"
SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"


# 1. The network on a device: it takes float images (n, 3, height, width) in [0, 1], which are 32 or
#    64 pixels wide and grey ones repeated in every channel, and gives features (n, dimensions).
def load(device: torch.device) -> Network:
    """ResNet-18's pooled features (He et al., CVPR 2016)."""
    import torch
    from torch.nn import functional as F
    from torchvision.models import resnet18

    if not WEIGHTS.is_file() or file_sha256(WEIGHTS) != SHA256:
        raise BenchError(f"{WEIGHTS}: not torchvision's weights; fetch resnet18-f37072fd.pth")
    network = resnet18()
    network.load_state_dict(torch.load(WEIGHTS, map_location="cpu", weights_only=True))
    network.fc = torch.nn.Identity()
    network.to(device).eval()
    mean, deviation = (
        torch.tensor(values, device=device)[:, None, None]
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )

    def features(images: torch.Tensor) -> torch.Tensor:
        resized = F.interpolate(images, (224, 224), mode="bilinear", align_corners=False)
        return network((resized - mean) / deviation)

    return features


# 2. Its name for --extractor and in tables, what it is, its number of features, its checksum.
register_extractor(
    DeclaredExtractor(
        name="resnet18",
        description="ResNet-18 of ImageNet",
        dimensions=512,
        checksum=SHA256,
        load=load,
        batch_size=50,
    )
)
