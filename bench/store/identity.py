"""What names a run and a measurement: hashes of all that changes their numbers, and of no more."""

from __future__ import annotations

from dataclasses import asdict

from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.hashing import canonical_json, sha256

# By precision; raised whenever code changes the weights that a spec leads to.
TRAINING_PROTOCOL = {"fp32": 1, "tf32": 1, "bf16": 1}
# Raised whenever code changes what is measured of given weights.
MEASURING_PROTOCOL = 2


def run_id(spec: TrainingSpec, data_fingerprint: str) -> str:
    """Identity of a trained run: its name and eight hex digits of what changes its weights.

    Args:
        spec: what is trained.
        data_fingerprint: fingerprint of the data set's content, see :mod:`bench.data`.
    """
    protocol = TRAINING_PROTOCOL[spec.precision]
    identity = {"protocol": protocol, "data": data_fingerprint, "spec": asdict(spec)}
    return f"{spec.name}-{sha256(canonical_json(identity))[:8]}"


def measurement_id(run: str, spec: MeasurementSpec, extractor_checksum: str, protocol: int) -> str:
    """Eight hex digits of what changes the numbers that are measured of a run's weights.

    Args:
        run: identity of the trained run.
        spec: what is measured.
        extractor_checksum: SHA-256 of the extractor's weights, in hex.
        protocol: version of the measuring protocol.
    """
    identity = {
        "protocol": protocol,
        "run": run,
        "spec": asdict(spec),
        "extractor": extractor_checksum,
    }
    return sha256(canonical_json(identity))[:8]
