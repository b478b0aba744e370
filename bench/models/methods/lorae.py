"""LoRAE (Mazumder et al. 2024): one bias-free linear layer under a penalty on its nuclear norm.

Read: the abstract and the authors' code (tirthajit/LoRAE_WACV24), whose loss is this one; there its
strength is 1e-5 unless it is set, Adam's learning rate 1e-4 and the batch 100. A spec has the layer
as depth 1.
"""

import torch
from torch.nn import functional as F

from bench.errors import UsageError
from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.networks import Autoencoder


def error_and_nuclear_norm(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Mean squared error plus ``nuclear`` times the sum of the layer's singular values."""
    (weight,) = model.linear.parameters()
    # Half precision has no singular value decomposition.
    with torch.autocast(images.device.type, enabled=False):
        norm = torch.linalg.svdvals(weight.float()).sum()
    return F.mse_loss(model(images), images) + spec.parameter("nuclear") * norm


def _require_one_layer(model: Autoencoder, spec: TrainingSpec) -> None:
    if spec.depth != 1:
        raise UsageError(f"lorae has one linear layer: depth must be 1, not {spec.depth}")


# On a GPU, a decomposition waits for numbers, which a CUDA graph cannot.
METHOD = Method(
    "lorae", "Mazumder et al., WACV 2024", error_and_nuclear_norm, adapt=_require_one_layer
)
