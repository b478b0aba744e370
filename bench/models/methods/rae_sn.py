"""The regularised autoencoder with spectral normalisation."""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from bench.experiments.spec import TrainingSpec
from bench.models.methods import Method, rae
from bench.models.networks import Autoencoder


def normalise(model: Autoencoder, spec: TrainingSpec) -> None:
    """Divide every kernel of encoder and decoder by its largest singular value while it trains.

    A kernel is flattened to a matrix (outputs, everything else); a transposed convolution's to
    (inputs, everything else), as in the authors' code. One power iteration a step tracks the
    singular value (Miyato et al., ICLR 2018).
    """
    for part in (model.encoder, model.decoder):
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                # By default PyTorch takes a transposed kernel's outputs, its second dimension.
                spectral_norm(layer, dim=0)


METHOD = Method("rae-sn", rae.CITATION, rae.penalised_error, adapt=normalise, graph_safe=True)
