"""The methods: each a loss, in a file of its own."""

from __future__ import annotations

import importlib

from bench.errors import unknown
from bench.models.methods.method import Method
from bench.spec import METHODS


def method(name: str) -> Method:
    """Look a method up by name; an unknown one raises UsageError with the nearest names."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return importlib.import_module(f"bench.models.methods.{name}").METHOD
