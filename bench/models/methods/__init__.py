"""The methods, each in a file of its own; a user registers further ones from a plugin."""

import importlib

from bench.errors import UsageError, require_name, unknown
from bench.models.methods.method import Loss, Method

__all__ = ["Loss", "Method", "method", "register_method", "source_of"]

# Each in the module of its name, which is imported when the method is first looked up.
_OWN = (
    *("ae", "irmae", "vae", "wae-mmd", "rae", "rae-l2", "rae-gp", "rae-sn"),
    *("irmae-wd", "lorae", "least-volume", "rrae", "nested-dropout", "pca"),
)
REGISTERED_METHODS: dict[str, Method] = {}


def method(name: str) -> Method:
    """Look a method up by its name.

    Raises:
        UsageError: there is no such method; the message has the nearest names.
    """
    if name in REGISTERED_METHODS:
        return REGISTERED_METHODS[name]
    if name not in _OWN:
        raise unknown("method", name, [*_OWN, *REGISTERED_METHODS])
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").METHOD


def register_method(new: Method) -> None:
    """Add a method, so that specs can name it.

    Raises:
        UsageError: another method has that name; records would be filed under both.
    """
    require_name("method", new.name)
    if new.name in _OWN or REGISTERED_METHODS.get(new.name, new) != new:
        raise UsageError(f"a method named {new.name!r} exists already; choose another name")
    REGISTERED_METHODS[new.name] = new


def source_of(name: str) -> str:
    """SHA-256, in hex, of the plugin that a method comes from; empty for the suite's own.

    Their code has protocol numbers, see :mod:`bench.store.identity`.
    """
    return REGISTERED_METHODS[name].source if name in REGISTERED_METHODS else ""
