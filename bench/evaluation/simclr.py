"""The ``simclr`` extractor: a small network trained without labels, by contrast of two views.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from bench.evaluation.classifier import DIMENSIONS, body

TEMPERATURE = 0.5
_PROJECTED = 64
# A view shows at least this share of the picture's width; brightness and contrast vary by so much.
_SMALLEST_VIEW = 0.5
_JITTER = 0.4


class Contrastive(nn.Module):
    """A body whose features tell two views of one picture from those of others."""

    def __init__(self, image_size: int, classes: tuple[int, ...]) -> None:
        """Build for images (n, 3, image_size, image_size); classes are not asked for."""
        super().__init__()
        self.body = body(image_size, nn.ReLU())
        self.projection = nn.Sequential(
            nn.Linear(DIMENSIONS, DIMENSIONS), nn.ReLU(), nn.Linear(DIMENSIONS, _PROJECTED)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (n, 128) of float images (n, 3, size, size) in [0, 1]."""
        return self.body(images)

    def loss(
        self, images: torch.Tensor, labels: torch.Tensor, noise: torch.Generator
    ) -> torch.Tensor:
        """NT-Xent of two views of each image; labels are ignored."""
        views = torch.cat([view(images, noise), view(images, noise)])
        return nt_xent(self.projection(self.body(views)))


def nt_xent(projected: torch.Tensor, temperature: float = TEMPERATURE) -> torch.Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, equation 1), mean over rows.

    Args:
        projected: (2 n, d); rows i and n + i are views of one image.
        temperature: divides the cosines.
    """
    count = len(projected)
    unit = F.normalize(projected, dim=1)
    similarity = unit @ unit.T / temperature
    similarity = similarity.masked_fill(torch.eye(count, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(similarity, torch.arange(count).roll(count // 2))


def view(images: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """A random part of each image, turned left to right or not, in random light.

    Args:
        images: float (n, 3, size, size) in [0, 1].
        noise: draws the part, the turn, the brightness, the contrast and the colour.

    Returns:
        Images of the same shape, in [0, 1].
    """
    n = len(images)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=noise)

    scale = uniform(_SMALLEST_VIEW, 1.0)
    mirror = torch.where(torch.rand(n, generator=noise) < 0.5, -1.0, 1.0)
    shift = uniform(-1.0, 1.0, 2) * (1 - scale[:, None])
    transform = torch.zeros(n, 2, 3)
    transform[:, 0, 0], transform[:, 1, 1] = scale * mirror, scale
    transform[:, :, 2] = shift
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    part = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    mean = part.mean(dim=(1, 2, 3), keepdim=True)
    contrast = uniform(1 - _JITTER, 1 + _JITTER, 1, 1, 1)
    # One factor for each channel: brightness and hue.
    light = uniform(1 - _JITTER, 1 + _JITTER, 1, 1, 1) * uniform(0.8, 1.2, 3, 1, 1)
    return ((mean + (part - mean) * contrast) * light).clamp(0, 1)
