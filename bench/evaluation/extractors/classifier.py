"""The ``classifier`` extractor: a small shipped network that has learned a data set's labels.

``python -m bench.evaluation.extractors.train_classifier`` trains one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from bench.data import Dataset, dataset
from bench.errors import BenchError
from bench.files import file_sha256
from bench.hashing import derive_seed

DIMENSIONS = 128
# Width and height of the images of MNIST and of shapes.
IMAGE_SIZE = 32


class Classifier(nn.Module):
    """Three strided convolutions, 128 features, and a score for each class of each label."""

    def __init__(self, classes: tuple[int, ...]) -> None:
        """Build for images (n, 3, 32, 32)."""
        super().__init__()
        self.classes = classes
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * (IMAGE_SIZE // 8) ** 2, DIMENSIONS),
            # With a ReLU, a third of the features were zero for every image.
            nn.SiLU(),
        )
        self.head = nn.Linear(DIMENSIONS, sum(classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (n, 128) of float images (n, 3, 32, 32) in [0, 1]."""
        return self.body(images)

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum over labels of the mean cross-entropy; labels are (n, number of labels)."""
        scores = self.head(self.body(images)).split(self.classes, dim=1)
        losses = [F.cross_entropy(s, labels[:, i]) for i, s in enumerate(scores)]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def accuracy(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Share of all labels that are predicted correctly, in [0, 1]."""
        scores = self.head(self.body(images)).split(self.classes, dim=1)
        predicted = torch.stack([s.argmax(dim=1) for s in scores], dim=1)
        return (predicted == labels).float().mean().item()


def initial_classifier(data: Dataset) -> Classifier:
    """A data set's classifier with its initial weights, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("classifier-local", data.name))
        return Classifier(data.classes).to(memory_format=torch.channels_last)


def load(name: str, sha256: str, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Load the classifier that the package ships for a data set.

    Raises:
        BenchError: the file does not have this SHA-256.
    """
    path = Path(__file__).parents[1] / "pinned" / f"classifier-{name}.pt"
    if not path.is_file() or file_sha256(path) != sha256:
        raise BenchError(f"{path}: not the classifier that was shipped; install the package again")
    model = initial_classifier(dataset(name))
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.to(device).eval()
