"""Rank reduction autoencoder, strong form (Mounayer et al. 2024): codes by their truncated SVD.

Read: the abstract and the authors' code (JadM133/RRAEs: ``latent_func_strong_RRAE``,
``fine_tune_basis``). There the loss is the relative error of a batch, here the suite's mean squared
error. There the batches' bases are joined to one, for which weights are tuned afterwards; here the
basis is that of all training codes, and no weight is tuned for it.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from bench.errors import UsageError
from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder

# Squared singular values that differ by less than this share of the largest count as equal.
_CLOSE = 1e-6


class Projection(nn.Module):
    """Maps codes to the span of the training codes' basis; to themselves until it is fitted."""

    matrix: torch.Tensor

    def __init__(self, latent_dim: int) -> None:
        """The identity."""
        super().__init__()
        self.register_buffer("matrix", torch.eye(latent_dim))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Project codes (n, latent_dim)."""
        return codes @ self.matrix


class _Truncation(torch.autograd.Function):
    """The best approximation of a matrix by one of lower rank, and its gradient.

    Autograd's own gradient of an SVD divides by the differences of all squared singular values, so
    that two that are equal make it infinite. Here only those of a kept from a left-out one count;
    where these are equal the approximation has no gradient, and 0 is taken.
    """

    @staticmethod
    def forward(ctx: Any, codes: torch.Tensor, count: int) -> torch.Tensor:  # noqa: ANN401
        left, values, right = torch.linalg.svd(codes, full_matrices=False)
        ctx.save_for_backward(left, values, right)
        ctx.count = count
        return (left[:, :count] * values[:count]) @ right[:count]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401
        # The derivative is self-adjoint: the same map takes a change of the matrix to that of its
        # approximation, and the gradient back.
        left, values, right = ctx.saved_tensors
        kept_left, rest_left = left.tensor_split((ctx.count,), dim=1)
        kept_right, rest_right = right.tensor_split((ctx.count,))
        large, small = values[: ctx.count, None], values[None, ctx.count :]
        gap = large.square() - small.square()
        apart = gap > _CLOSE * values[0].square()
        share = torch.where(apart, 1 / gap.where(apart, 1.0), 0.0)
        rows, columns = kept_left.T @ gradient, gradient @ kept_right.T
        right_turn, left_turn = rows @ rest_right.T, (rest_left.T @ columns).T
        across = share * (large.square() * right_turn + large * small * left_turn)
        down = share * (large.square() * left_turn + large * small * right_turn)
        result = kept_left @ (rows @ kept_right.T) @ kept_right
        result = result + kept_left @ across @ rest_right + rest_left @ down.T @ kept_right
        # Directions that no row has, and, with more rows than dimensions, the other way round.
        result = result + kept_left @ (rows - rows @ right.T @ right)
        return result + (columns - left @ (left.T @ columns)) @ kept_right, None


def truncated(codes: torch.Tensor, directions: int) -> torch.Tensor:
    """Codes (n, latent_dim) as their first so many singular directions have them, uncentred."""
    return _Truncation.apply(codes, directions)


def _directions(spec: TrainingSpec) -> int:
    count = round(spec.parameter("directions"))
    if not 1 <= count <= spec.latent_dim:
        raise UsageError(f"directions={count} must be from 1 to latent_dim={spec.latent_dim}")
    return count


def truncated_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Mean squared error behind the ``directions`` first directions of the batch's own codes."""
    codes = model.encoder(images)
    # Half precision has no singular value decomposition.
    with torch.autocast(images.device.type, enabled=False):
        codes = truncated(codes.float(), _directions(spec))
    return F.mse_loss(model.decoder(codes), images)


def add_projection(model: Autoencoder, spec: TrainingSpec) -> None:
    """Give the model a place for the basis that is fitted."""
    model.linear = Projection(spec.latent_dim)


def fit_basis(
    model: Autoencoder, batches: Callable[[], Iterator[torch.Tensor]], spec: TrainingSpec
) -> None:
    """Take the first singular directions of the codes of all training images as the basis."""
    total = torch.zeros(spec.latent_dim, spec.latent_dim, dtype=torch.float64, device=model.device)
    for images in batches():
        codes = model.encoder(images).double()
        total += codes.T @ codes
    # Their eigenvalues rise.
    basis = torch.linalg.eigh(total)[1][:, -_directions(spec) :]
    cast("Projection", model.linear).matrix.copy_(basis @ basis.T)


# On a GPU, a decomposition waits for numbers, which a CUDA graph cannot.
METHOD = Method(
    "rrae", "Mounayer et al. 2024", truncated_error, adapt=add_projection, fit=fit_basis
)
