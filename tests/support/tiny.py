"""A run of the real network, narrowed, that takes a moment; tests change what they need."""

from dataclasses import replace

from bench.experiments.spec import MeasurementSpec, TrainingSpec

TINY = TrainingSpec(
    dataset="mnist-sample",
    method="irmae",
    latent_dim=8,
    depth=2,
    epochs=3,
    batch_size=16,
    train_images=64,
    width=0.25,
)
TINY_MEASUREMENT = MeasurementSpec(extractor="classifier", test_images=32, fid_samples=40)
# The same by the command line.
TINY_ARGUMENTS = [
    *("--profile", "smoke", "--device", "cpu", "--set", "latent_dim=8", "--set", "batch_size=16"),
    *("--set", "train_images=64", "--set", "test_images=32", "--set", "fid_samples=40"),
    *("--set", "width=0.25"),
]

# The parameters of the methods that have any, at the strengths of their papers.
PARAMETERS = {
    "vae": (("beta", 0.1),),
    "wae-mmd": (("penalty", 100.0),),
    "rae": (("beta", 1e-4),),
    "rae-l2": (("beta", 1e-4), ("decay", 1e-7)),
    "rae-gp": (("beta", 1e-4), ("gradient", 1e-7)),
    "rae-sn": (("beta", 2.4e-3),),
    "irmae-wd": (("weight_decay", 1.0),),
    "lorae": (("nuclear", 1e-3),),
    "least-volume": (("volume", 1e-2),),
    "rrae": (("directions", 3.0),),
    "nested-dropout": (("probability", 0.1),),
}
DEPTHS = {"irmae": 2, "irmae-wd": 2, "lorae": 1}
METHODS = ("ae", "irmae", "pca", *PARAMETERS)
# Whose steps a CUDA graph cannot hold, since they decompose matrices.
UNSAFE = ("lorae", "rrae")
GRAPH_SAFE = tuple(name for name in METHODS if name not in UNSAFE)


def tiny(method: str, **change: object) -> TrainingSpec:
    """The tiny run by another method."""
    depth = DEPTHS.get(method, 0)
    spec = replace(TINY, method=method, depth=depth, parameters=PARAMETERS.get(method, ()))
    return replace(spec, **change)  # type: ignore[arg-type]
