"""Canonical JSON, hashes of it, and seeds that are derived from names."""

import hashlib
import json


def canonical_json(value: object) -> str:
    """Serialise to the one JSON text that equal values share: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def derive_seed(*parts: str | int) -> int:
    """Seed in [0, 2^63) from named parts, so that no stream depends on how many others exist."""
    return int(sha256(canonical_json(parts))[:16], 16) >> 1
