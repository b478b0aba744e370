"""The ``classifier`` extractor: a small network that learns a data set's labels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

DIMENSIONS = 128


def body(image_size: int, activation: nn.Module) -> nn.Sequential:
    """Three strided convolutions and 128 features, of images (n, 3, image_size, image_size).

    Args:
        image_size: height and width.
        activation: of the features.
    """
    # Patches of 4x4 side by side where images are large: every pixel is seen, in half the time.
    stride, padding = (4, 0) if image_size >= 64 else (2, 1)
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=stride, padding=padding),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (image_size // (4 * stride)) ** 2, DIMENSIONS),
        activation,
    )


class Classifier(nn.Module):
    """A body, and the scores of each label's classes."""

    def __init__(self, image_size: int, classes: tuple[int, ...]) -> None:
        """Build for images (n, 3, image_size, image_size)."""
        super().__init__()
        self.classes = classes
        # Behind a ReLU, a third of the features were zero for every image.
        self.body = body(image_size, nn.SiLU())
        self.head = nn.Linear(DIMENSIONS, sum(classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (n, 128) of float images (n, 3, size, size) in [0, 1]."""
        return self.body(images)

    def loss(
        self, images: torch.Tensor, labels: torch.Tensor, noise: torch.Generator
    ) -> torch.Tensor:
        """Sum over labels of the mean cross-entropy; labels are (n, number of labels)."""
        scores = self.head(self.body(images)).split(self.classes, dim=1)
        losses = [F.cross_entropy(s, labels[:, i]) for i, s in enumerate(scores)]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def accuracy(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Share of labels predicted right, in [0, 1], over all labels."""
        scores = self.head(self.body(images)).split(self.classes, dim=1)
        predicted = torch.stack([s.argmax(dim=1) for s in scores], dim=1)
        return (predicted == labels).float().mean().item()
