"""A method of your own: copy this file, change the three marked places, and name it.

    python run_all.py --table mnist-baselines --plugin my_method.py

Nothing in the package needs to change. The method gets a column in that table, and with it a place
in samples, reconstructions, the report and `--export`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.experiments.columns import MNIST_AE
from bench.experiments.spec import Cell, TrainingSpec
from bench.experiments.tables import register_cell
from bench.models.methods import Method, register_method

# PyTorch takes seconds to import: inside functions, so that --plan and --collect stay fast.
if TYPE_CHECKING:
    import torch

    from bench.models.networks import Autoencoder


# 1. The loss: what training minimises, a scalar.
#
# model       `encoder`, `linear` and `decoder`; `model(images)` reconstructs, `model.codes(images)`
#             gives the codes (n, latent_dim) behind the linear layers
# images      float (n, channels, size, size) in [0, 1], on the device of the model
# noise       a generator on that device, seeded by run and step: with what is drawn from it, a run
#             that was stopped goes on as it would have
# spec        the run's settings; `spec.parameter("noise")` is one of the method's own
#
# Whatever a loss raises is recorded as the failure of that run; the others go on.
def denoising_error(
    model: Autoencoder, images: torch.Tensor, noise: torch.Generator, spec: TrainingSpec
) -> torch.Tensor:
    """Squared error of reconstructions of noisy images (Vincent et al., ICML 2008)."""
    import torch

    disturbance = torch.randn(images.shape, generator=noise, device=images.device)
    output = model(images + spec.parameter("noise") * disturbance)
    return (output - images).square().mean()


# 2. The method: its name in specs, file names and tables, where it comes from, and its loss.
#
# Further fields, all optional:
#   output="sigmoid"    last activation of the decoder; "tanh" where it is not given
#   doubled=True        the encoder returns a mean and a log-variance, as a VAE's does
#   adapt=function      changes a new model in place, given the spec, before it is trained
#   optimizer=function  makes the optimiser, of the parameters and the spec; else it is Adam
#   fit=function        sets buffers of the model from the training images, given the model, a
#                       function that goes through them in batches, and the spec; called after
#                       every epoch, before codes are looked at
#   has_prior=True      the loss pulls codes towards N(0, I), which is then sampled too
#   graph_safe=True     the loss launches the same operations at every step, without .item() or
#                       other decisions by numbers: on a GPU, steps of several runs are then
#                       captured in one CUDA graph and replayed
register_method(Method("dae", "Vincent et al., ICML 2008", denoising_error, graph_safe=True))

# 3. The column: the table, its label, and the run, here the autoencoder's with another method.
#
# Parameters are part of a run's identity, and can be set: --set noise=0.3.
register_cell(
    "mnist-baselines",
    Cell("DAE", replace(MNIST_AE, method="dae", parameters=(("noise", 0.1),))),
)
