"""The regularised autoencoder with spectral normalisation."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from bench.models.methods import rae
from bench.models.methods.method import Method
from bench.models.networks import Autoencoder


def normalise(model: Autoencoder) -> None:
    """Divide every kernel of encoder and decoder by its largest singular value, as it trains.

    The kernel is taken as a matrix (outputs, everything else), that of a transposed convolution
    as (inputs, everything else), as the authors' code has it; the singular value is followed by
    one power iteration a step (Miyato et al., ICLR 2018).
    """
    for part in (model.encoder, model.decoder):
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                # PyTorch would take a transposed kernel's outputs, which come second.
                spectral_norm(layer, dim=0)


METHOD = Method("rae-sn", rae.CITATION, rae.penalised_error, prepare=normalise, repeats=True)
