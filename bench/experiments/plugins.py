"""Code of the user's own, which registers methods, data sets and columns when it is loaded."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.errors import UsageError


def load_plugins(names: Iterable[str]) -> None:
    """Import each plugin, once a process.

    Args:
        names: paths of Python files, or names of importable modules.

    Raises:
        UsageError: there is no such file or module.
    """
    for name in names:
        if name.endswith(".py"):
            _load_file(Path(name).resolve())
        else:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                raise UsageError(f"--plugin {name}: {error}") from error


def _load_file(path: Path) -> None:
    name = f"irmae_bench_plugin_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return
    if not path.is_file():
        raise UsageError(f"--plugin {path}: no such file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
