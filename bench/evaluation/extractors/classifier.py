"""The ``classifier`` extractor: a small shipped network that has learned a data set's labels.

``python -m benchmarks.train_classifier`` trains one.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.data import dataset
from bench.files import require_sha256

DIMENSIONS = 128


class Classifier(nn.Module):
    """Three strided convolutions, 128 features, and a score for each class of each label."""

    def __init__(self, classes: tuple[int, ...]) -> None:
        """Build for images (n, 3, 32, 32)."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, DIMENSIONS),
            # With a ReLU, a third of the features were zero for every image.
            nn.SiLU(),
        )
        self.head = nn.Linear(DIMENSIONS, sum(classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (n, 128) of float images (n, 3, 32, 32) in [0, 1]."""
        return self.body(images)


def load(name: str, sha256: str, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Load the classifier that the package ships for a data set.

    Raises:
        BenchError: the file does not have this SHA-256.
    """
    path = Path(__file__).parents[1] / "pinned" / f"classifier-{name}.pt"
    require_sha256(path, sha256, "install the package again")
    # Its initial weights, which are replaced, are drawn without a trace.
    with torch.random.fork_rng(devices=[]):
        model = Classifier(dataset(name).classes)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.to(memory_format=torch.channels_last).to(device).eval()
