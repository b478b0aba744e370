"""Principal component analysis, the linear control: fitted in closed form, nothing is trained."""

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import nn

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder


class Directions(nn.Module):
    """Mean image (pixels,) and orthonormal directions (latent_dim, pixels), which both share."""

    mean: torch.Tensor

    def __init__(self, latent_dim: int, shape: torch.Size) -> None:
        """Of no images yet; the shape is that of one, (channels, size, size)."""
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.numel()))
        # A parameter, since an optimiser needs one; the loss has no gradient.
        self.basis = nn.Parameter(torch.zeros(latent_dim, shape.numel()))


class Encode(nn.Module):
    """Coordinates of images along the directions."""

    def __init__(self, directions: Directions) -> None:
        """Share the directions."""
        super().__init__()
        self.directions = directions

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Codes (n, latent_dim)."""
        return (images.flatten(1) - self.directions.mean) @ self.directions.basis.T


class Decode(Encode):
    """Images of coordinates along the directions."""

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, size, size), not clipped."""
        flat = codes @ self.directions.basis + self.directions.mean
        return flat.unflatten(1, self.directions.shape)


def replace_networks(model: Autoencoder, spec: TrainingSpec) -> None:
    """Put a linear encoder and decoder in place of the networks."""
    with torch.no_grad():
        shape = model.decoder(torch.zeros(1, spec.latent_dim)).shape[1:]
    directions = Directions(spec.latent_dim, shape)
    model.encoder, model.decoder = Encode(directions), Decode(directions)


def nothing(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Zero, whatever the weights."""
    return 0.0 * next(model.parameters()).sum()


def fit_directions(
    model: Autoencoder, batches: Callable[[], Iterator[torch.Tensor]], spec: TrainingSpec
) -> None:
    """Find the first principal directions of all training images."""
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for images in batches():
        rows = images.flatten(1).double()
        count += len(rows)
        total, products = total + rows.sum(dim=0), products + rows.T @ rows
    mean = total / count
    # Eigenvalues rise.
    basis = torch.linalg.eigh(products / count - torch.outer(mean, mean))[1][:, -spec.latent_dim :]
    directions = cast("Encode", model.encoder).directions
    directions.mean.copy_(mean)
    directions.basis.copy_(basis.T.flip(0))


METHOD = Method(
    "pca", "Pearson 1901", nothing, adapt=replace_networks, fit=fit_directions, graph_safe=True
)
