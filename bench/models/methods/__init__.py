"""The methods: each a loss, in a file of its own; one of your own is registered, not added here."""

from __future__ import annotations

import importlib

from bench.errors import UsageError, unknown
from bench.models.methods.method import Loss, Method

__all__ = ["Loss", "Method", "method", "register_method"]

# Module of each method, imported when it is asked for.
_MODULES = {
    "ae": "ae",
    "irmae": "irmae",
    "vae": "vae",
    "wae-mmd": "wae_mmd",
    "rae": "rae",
    "rae-l2": "rae_l2",
    "rae-gp": "rae_gp",
    "rae-sn": "rae_sn",
}
_REGISTERED: dict[str, Method] = {}


def method(name: str) -> Method:
    """Look a method up by name; an unknown one raises UsageError with the nearest names."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in _MODULES:
        raise unknown("method", name, [*_MODULES, *_REGISTERED])
    return importlib.import_module(f"{__name__}.{_MODULES[name]}").METHOD


def register_method(new: Method) -> None:
    """Make a method known under its name.

    Raises:
        UsageError: another method has that name; records would be filed under both.
    """
    if new.name in _MODULES or _REGISTERED.get(new.name, new) != new:
        raise UsageError(f"a method named {new.name!r} exists already; choose another name")
    _REGISTERED[new.name] = new
