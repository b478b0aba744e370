"""Expectation maximisation (EM) of a Gaussian mixture on a GPU, with scikit-learn's steps."""

import math

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture


def fit_on_device(
    mixture: GaussianMixture, points: np.ndarray, device: torch.device
) -> GaussianMixture:
    """Fit scikit-learn's mixture to float64 points (n, d) on a device, and return it.

    It starts, steps and ends as scikit-learn's own fit does, by ``n_components``, ``reg_covar``,
    ``tol``, ``max_iter`` and a seed as ``random_state``; its covariances are full.

    Raises:
        torch.linalg.LinAlgError: a covariance is singular even with ``reg_covar`` on its diagonal.
    """
    components = mixture.n_components
    start = KMeans(components, n_init=1, random_state=np.random.RandomState(mixture.random_state))
    labels = torch.from_numpy(start.fit(points).labels_).to(device, torch.int64)
    shares = torch.nn.functional.one_hot(labels, components).double()
    values = torch.from_numpy(points).to(device)
    weights, means, covariances = _maximise(values, shares, mixture.reg_covar)
    bound, change, steps = -math.inf, math.inf, 0
    while steps < mixture.max_iter and change >= mixture.tol:
        joint = _log_joint(values, weights, means, torch.linalg.cholesky(covariances))
        total = joint.logsumexp(dim=1)
        weights, means, covariances = _maximise(
            values, (joint - total[:, None]).exp(), mixture.reg_covar
        )
        previous, bound = bound, total.mean().item()
        change, steps = abs(bound - previous), steps + 1
    roots = torch.linalg.cholesky(covariances)
    identity = torch.eye(len(means[0]), dtype=torch.float64, device=device)
    inverse = torch.linalg.solve_triangular(roots, identity.expand_as(roots), upper=False)
    mixture.weights_, mixture.means_ = weights.cpu().numpy(), means.cpu().numpy()
    mixture.covariances_ = covariances.cpu().numpy()
    mixture.precisions_cholesky_ = inverse.mT.cpu().numpy()
    mixture.lower_bound_, mixture.n_iter_, mixture.converged_ = bound, steps, change < mixture.tol
    return mixture


def _maximise(
    values: torch.Tensor, shares: torch.Tensor, regularisation: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights (k,), means (k, d) and covariances (k, d, d), by each component's share of points."""
    counts = shares.sum(dim=0) + 10 * torch.finfo(torch.float64).eps
    means = shares.T @ values / counts[:, None]
    covariances = []
    # The centred points of all components at once would fill gigabytes.
    for share, mean, count in zip(shares.T, means, counts, strict=True):
        centred = values - mean
        covariances.append((share * centred.T) @ centred / count)
    stacked = torch.stack(covariances)
    stacked.diagonal(dim1=1, dim2=2).add_(regularisation)
    return counts / counts.sum(), means, stacked


def _log_joint(
    values: torch.Tensor, weights: torch.Tensor, means: torch.Tensor, roots: torch.Tensor
) -> torch.Tensor:
    """Logarithm (n, k) of each component's weight times its density at the points."""
    columns = []
    for weight, mean, root in zip(weights, means, roots, strict=True):
        scaled = torch.linalg.solve_triangular(root, (values - mean).T, upper=False)
        volume = root.diagonal().log().sum() + 0.5 * len(mean) * math.log(2 * math.pi)
        columns.append(weight.log() - volume - 0.5 * scaled.square().sum(dim=0))
    return torch.stack(columns, dim=1)
