"""IRMAE: the autoencoder's loss, on a model with the linear layers that the spec asks for."""

from bench.models.methods import Method
from bench.models.methods.ae import squared_error

METHOD = Method("irmae", "Jing, Zbontar and LeCun, NeurIPS 2020", squared_error, graph_safe=True)
