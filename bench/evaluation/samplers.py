"""Samplers: densities from which new codes are drawn, fitted to training codes or fixed."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from bench.evaluation.mixture import fit_on_device
from bench.evaluation.protocol import components

# Codes are rank-deficient: IRMAE may leave 4 of 128 directions. Directions with less than this
# share of the largest variance stay at their mean, and the covariances are regularised by the same
# share, so that nothing depends on the scale of the codes.
VARIANCE_FLOOR = 1e-6


@dataclass(frozen=True)
class Sampler:
    """A Gaussian mixture in the subspace of the codes that carries variance.

    Attributes:
        mean: (latent_dim,) mean of the codes.
        basis: (rank, latent_dim) principal directions times the largest standard deviation, so
            that a code is ``mean + coordinates @ basis``.
        mixture: fitted to the coordinates; None where the codes are constant.
    """

    mean: np.ndarray
    basis: np.ndarray
    mixture: GaussianMixture | None

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Draw codes (count, latent_dim), float32, in random order."""
        if self.mixture is None:
            return np.repeat(self.mean[None], count, axis=0).astype(np.float32)
        self.mixture.random_state = seed
        coordinates = self.mixture.sample(count)[0]
        # scikit-learn draws component by component; shuffled, the first codes are a sample, too.
        np.random.default_rng(seed).shuffle(coordinates)
        return (self.mean + coordinates @ self.basis).astype(np.float32)

    def score(self, codes: np.ndarray) -> float:
        """Mean log-likelihood of codes (n, latent_dim) in the subspace, in nats a code.

        The unit of length is the largest standard deviation. Mixtures of one run can be compared
        by it; those of different runs cannot, since their subspaces differ, nor can a prior's. 0
        where the training codes were constant.
        """
        if self.mixture is None:
            return 0.0
        scale = np.square(self.basis).sum(axis=1)
        return float(self.mixture.score((codes - self.mean) @ self.basis.T / scale))


@dataclass(frozen=True)
class Prior:
    """The standard normal prior of methods that have one."""

    latent_dim: int

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Draw codes (count, latent_dim), float32."""
        shape = (count, self.latent_dim)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    def score(self, codes: np.ndarray) -> float:
        """Mean log-likelihood of codes (n, latent_dim), in nats a code, in all dimensions."""
        squares = np.square(codes.astype(np.float64)).sum(axis=1)
        return float(-0.5 * (squares + self.latent_dim * np.log(2 * np.pi)).mean())


def fit_sampler(
    name: str, codes: np.ndarray, seed: int, device: torch.device | None = None
) -> Sampler:
    """Fit a sampler to training codes.

    Args:
        name: ``gmm10`` or ``gmm4``, a full-covariance Gaussian mixture of that many components
            (fewer where there are not two codes for each), or ``mvg``, one Gaussian.
        codes: (n, latent_dim).
        seed: in [0, 2^32), for the mixture's k-means start.
        device: a GPU to fit on; for any other device scikit-learn fits on the CPU.
    """
    codes = codes.astype(np.float64)
    mean = codes.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
    largest = values[-1]
    if largest <= 0:
        return Sampler(mean, np.zeros((0, codes.shape[1])), None)
    directions = vectors[:, values > VARIANCE_FLOOR * largest]
    scale = np.sqrt(largest)
    count = components(name, len(codes))
    mixture = GaussianMixture(count, reg_covar=VARIANCE_FLOOR, random_state=seed)
    coordinates = (codes - mean) @ directions / scale
    with warnings.catch_warnings():
        # By protocol the fit ends after a hundred steps of EM, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if device is not None and device.type == "cuda":
            fit_on_device(mixture, coordinates, device)
        else:
            mixture.fit(coordinates)
    return Sampler(mean, directions.T * scale, mixture)
