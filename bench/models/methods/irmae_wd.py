"""IRMAE with weight decay (Zeng et al. 2023): its linear layers, trained by AdamW.

Read: the abstract and the authors' code (mdgrahamwisc/IRMAE_WD), which has four linear layers, a
learning rate of 1e-3, batches of 128, a decay of 1e-6 and float64. In float32 and at the
supplement's 1e-4, that decay multiplies weights by 1 - 1e-10, which is 1; only decays from about
1e-3 on do anything.
"""

from collections.abc import Iterable

import torch
from torch import nn

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method
from bench.models.methods.ae import squared_error


def adamw(parameters: Iterable[nn.Parameter], spec: TrainingSpec) -> torch.optim.Optimizer:
    """AdamW, whose decay is apart from the gradient, on all weights."""
    decay = spec.parameter("weight_decay")
    return torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=decay, fused=True)


METHOD = Method(
    "irmae-wd", "Zeng et al., arXiv:2305.01090", squared_error, optimizer=adamw, graph_safe=True
)
