"""What names a run and a measurement: hashes of all that changes their numbers, and of no more."""

from typing import Any

from bench.experiments.spec import MeasurementSpec, TrainingSpec, identifying
from bench.hashing import canonical_json, sha256

# By precision; raised whenever code changes the weights that a spec leads to.
TRAINING_PROTOCOL = {"fp32": 1, "tf32": 1, "bf16": 1}
# What a measurement holds, each by the version of the code that measures it. A number counts where
# its version is still this one; one that is added here leaves the others as they are.
METRIC_VERSIONS = {
    **dict.fromkeys(("train_mse", "test_mse", "mean_image_mse", "spectrum", "spectrum_sampled"), 2),
    **dict.fromkeys(("fid", "neighbours", "kid", "coverage", "copied", "real_images"), 2),
    "log_likelihood": 2,
}
# Version of the metrics that a record names none of.
MEASURING_PROTOCOL = 2


def run_id(spec: TrainingSpec, data_fingerprint: str, source: str = "") -> str:
    """Identity of a trained run: its name and eight hex digits of what changes its weights.

    The source is the SHA-256 of the plugin that the method comes from; empty for the suite's own.
    """
    identity: dict[str, Any] = {
        "protocol": TRAINING_PROTOCOL[spec.precision],
        "data": data_fingerprint,
        "spec": identifying(spec),
        **({"source": source} if source else {}),
    }
    return f"{spec.name}-{sha256(canonical_json(identity))[:8]}"


def other_versions() -> dict[str, int]:
    """Versions of the metrics that differ from :data:`MEASURING_PROTOCOL`, as records note them."""
    return {
        name: version for name, version in METRIC_VERSIONS.items() if version != MEASURING_PROTOCOL
    }


def measurement_id(run: str, spec: MeasurementSpec, extractor_checksum: str, protocol: int) -> str:
    """Eight hex digits of what was measured: of a run's weights, how much, through which network.

    The checksum is as in :class:`bench.store.records.MeasurementRecord`.
    """
    identity = {
        "protocol": protocol,
        "run": run,
        "spec": identifying(spec),
        "extractor": extractor_checksum,
    }
    return sha256(canonical_json(identity))[:8]
