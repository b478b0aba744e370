"""Code of the user's own, which registers methods, data sets and more when it is loaded.

What it declares carries the hash of its source, so that an edited method is another run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError, Terminated, UsageError, described

# What this process has loaded, since Python keeps modules and so their registrations: SHA-256 of
# each plugin's source, by the name it was given by; files of the modules of its data sets, likewise
# (they are imported later); and the registries as they were before the first of them.
_loaded: dict[str, str] = {}
_modules: dict[str, list[Path]] = {}
_before: list[dict[str, Any]] = []


def _registries() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a plugin may add to: what carries the hash of its source, and the rest."""
    # A command without plugins does without the imports of these.
    from bench.data import DATASETS
    from bench.evaluation.extractors import REGISTERED_EXTRACTORS
    from bench.experiments.figures import FIGURES
    from bench.experiments.tables import TABLES
    from bench.models.methods import REGISTERED_METHODS
    from bench.report.figures.kinds import REGISTERED_KINDS
    from bench.report.metrics import METRICS

    hashed: list[dict[str, Any]] = [REGISTERED_METHODS, REGISTERED_EXTRACTORS, DATASETS]
    return hashed, [TABLES, FIGURES, METRICS, REGISTERED_KINDS]


def load_plugins(names: Sequence[str]) -> None:
    """Load plugins, so that what they register is known and nothing of others is.

    They are named by paths of Python files, or as importable modules. One that is loaded is loaded
    again only where its source has changed since, or others were loaded.

    Raises:
        UsageError: there is no such file or module, or it raises an error itself.
    """
    # A file that was given twice, by two names, counts once.
    paths = {name: path for path, name in {_path(name): name for name in names}.items()}
    if _loaded == {name: _hash(name, path) for name, path in paths.items()}:
        return
    hashed, others = _registries()
    if _loaded:
        for registry, before in zip([*hashed, *others], _before, strict=True):
            registry.clear()
            registry.update(before)
    _before[:] = [dict(registry) for registry in (*hashed, *others)]
    _loaded.clear()
    for name, path in paths.items():
        earlier = [dict(registry) for registry in hashed]
        # Noted first: where one fails, the next command clears what it has registered so far.
        _loaded[name] = ""
        read = source_sha256(path)
        _execute(name, path, _modules.get(name, []))
        if source_sha256(path) != read:
            raise UsageError(f"--plugin {name}: was edited while it was loaded; try again")
        _modules[name] = []
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        for registry, before in zip(hashed, earlier, strict=True):
            for key in [key for key in registry if before.get(key) != registry[key]]:
                own = list(_files(path.parent, getattr(registry[key], "module", "")))
                _modules[name] += own
                registry[key] = replace(registry[key], source=source_sha256(path, *own))
        _loaded[name] = _hash(name, path)


def _hash(name: str, path: Path) -> str:
    return source_sha256(path, *filter(Path.exists, _modules.get(name, [])))


def _path(name: str) -> Path:
    """The file of a plugin."""
    path = Path(name).resolve()
    if name.endswith(".py"):
        if not path.is_file():
            raise UsageError(f"--plugin {name}: no such file")
        return path
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        meant = path.with_name(f"{path.name}.py")
        hint = f"; is {name}.py meant?" if meant.is_file() else ", and no file that ends in .py"
        raise UsageError(f"--plugin {name}: no module of that name{hint}")
    return Path(spec.origin)


def _execute(name: str, path: Path, modules: Sequence[Path]) -> None:
    """Run a plugin's code anew, and that of the modules that it imports from its folder."""
    # Also of modules of these names that lie beside another plugin.
    for source in _sources(path.parent, path, *modules) - {path}:
        parts = source.relative_to(path.parent).with_suffix("").parts
        sys.modules.pop(".".join(parts).removesuffix(".__init__"), None)
    if not name.endswith(".py"):
        sys.modules.pop(name, None)
    # Its own folder goes before those of other plugins.
    sys.path.insert(0, str(path.parent))
    # Compiled files are told apart by the second, in which a file may be edited twice.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        if name.endswith(".py"):
            _run(f"irmae_bench_plugin_{path.stem}", path)
        else:
            importlib.import_module(name)
    except (KeyboardInterrupt, Terminated, BenchError):
        raise
    except BaseException as error:
        raise UsageError(f"--plugin {_place(error, path)}: {_described(error)}") from error
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(path.parent))


def _run(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {path}: not a Python file")
    module: ModuleType = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look modules up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _place(error: BaseException, path: Path) -> str:
    """File and line of a plugin, or of a module beside it, where an error arose."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    sources = set(map(str, _sources(path.parent, path)))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in sources]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else str(path)


def _described(error: BaseException) -> str:
    # A syntax error's own text has file and line, which stand before it already.
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    return described(error)


def source_sha256(path: Path, *others: Path) -> str:
    """SHA-256, in hex, of Python files and of those of the first one's folder that they import.

    Raises:
        UsageError: a file cannot be read, or is not Python.
    """
    files = sorted(_sources(path.parent, path, *others))
    digests = (hashlib.sha256(file.read_bytes()).digest() for file in files)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _sources(folder: Path, *paths: Path) -> set[Path]:
    """Files, and the files of a folder that they import, directly or through others."""
    found: set[Path] = set()
    left = [*paths]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            for level, name in _imported(file):
                left += _files(folder, name, (file.parents[level - 1] if level else folder))
    return found


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Names of the modules that a file imports, each with the number of dots before it."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise UsageError(f"--plugin {_place(error, path)}: {_described(error)}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"--plugin {path}: cannot be read as Python ({error})") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                yield node.level, ".".join(filter(None, (module, alias.name)))
            yield node.level, module


def _files(folder: Path, name: str, start: Path | None = None) -> Iterable[Path]:
    """The file of a module in a folder, or all of a package there; none where it is elsewhere.

    A name with dots before it starts from a folder below. Packages around a module are run before
    it, and so are among its files.
    """
    parts = list(filter(None, name.split(".")))
    if (folder / "__init__.py").is_file() and parts[:1] == [folder.name]:
        # A package that imports its own modules by their whole names.
        parts = parts[1:]
    # A plugin may lie beside the suite, whose own code has protocol numbers, or be installed.
    if parts[:1] == ["bench"] or folder.name in ("site-packages", "dist-packages"):
        return []
    base = start or folder
    if not base.is_relative_to(folder):
        return []
    for count in range(len(parts), 0, -1):
        file = base.joinpath(*parts[:count])
        packages = [folder / each for each in file.relative_to(folder).parents][:-1]
        around = [each / "__init__.py" for each in packages if (each / "__init__.py").is_file()]
        if file.with_suffix(".py").is_file():
            return [*around, file.with_suffix(".py")]
        if (file / "__init__.py").is_file():
            return [*around, *sorted(file.rglob("*.py"))]
    return []
