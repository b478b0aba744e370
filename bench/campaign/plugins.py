"""Code of the user's own, which registers methods, data sets and more when it is loaded.

What it declares carries the hash of its source, so that an edited method is another run.
"""

import ast
import contextlib
import hashlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError, Terminated, UsageError, described, unknown

# What this process has loaded, since Python keeps modules and so their registrations: the plugins;
# what was read of each of their files, by its path; and the registries as they were before.
_loaded: list[Path] = []
_read: dict[str, bytes] = {}
_before: list[dict[str, Any]] = []
_MODULE = "irmae_bench_plugin_"


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
    """Load plugins, by paths of Python files: what they register is known, nothing of others is.

    One that is loaded is loaded again only where a file of it has changed, or others were loaded.

    Raises:
        UsageError: there is no such file, or it raises an error itself.
    """
    paths = list(dict.fromkeys(Path(name).resolve() for name in names))
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise UsageError(f"--plugin {missing[0]}: no such file")
    if paths == _loaded and _unchanged():
        return
    hashed, others = _registries()
    if _loaded:
        for registry, before in zip([*hashed, *others], _before, strict=True):
            registry.clear()
            registry.update(before)
    _before[:] = [dict(registry) for registry in (*hashed, *others)]
    # Where one fails, the next command clears what it has registered so far.
    _loaded[:] = [Path()]
    _forget_modules()
    _read.clear()
    for path in paths:
        earlier = [dict(registry) for registry in hashed]
        with _blaming(path):
            _execute(path)
            for registry, before in zip(hashed, earlier, strict=True):
                for key, new in registry.items():
                    if before.get(key) != new:
                        source = _sha256(_files(path, getattr(new, "module", "")))
                        registry[key] = replace(new, source=source)
    tables, metrics = others[0], others[2]
    for table in tables.values():
        for name in (*table.metrics, *(claim.metric for claim in table.claims)):
            if name not in metrics:
                raise UsageError(f"{table.name}: {unknown('metric', name, metrics)}")
    if not _unchanged():
        raise UsageError("--plugin: a file was edited while it was loaded; try again")
    _loaded[:] = paths


def _unchanged() -> bool:
    """Whether the files that were read are still the same."""
    return all(Path(f).exists() and Path(f).read_bytes() == _read[f] for f in _read)


def _forget_modules() -> None:
    """Have modules beside plugins imported anew: one may be edited, or another have its name."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in _read and not name.startswith(_MODULE):
            del sys.modules[name]


def _execute(path: Path) -> None:
    """Run a plugin's code anew, and that of the modules that it imports from its folder."""
    _files(path)
    _forget_modules()
    # Dataclasses and pickles look modules up by name.
    module = sys.modules[_MODULE + path.stem] = ModuleType(_MODULE + path.stem)
    module.__file__ = str(path)
    # Its own folder goes before those of other plugins.
    sys.path.insert(0, str(path.parent))
    # Compiled files are told apart by the second, in which a file may be edited twice.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        code = compile(_read[str(path)], path, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - the user's own
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(path.parent))
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Have an error in a plugin's code name its line, or that of a file beside it."""
    try:
        yield
    except (KeyboardInterrupt, Terminated, BenchError):
        raise
    except BaseException as error:
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in _read]
        place = f"{lines[-1].filename}, line {lines[-1].lineno}" if lines else str(path)
        what = described(error)
        if isinstance(error, SyntaxError) and error.filename:
            # Its own text has file and line, too.
            place, what = f"{error.filename}, line {error.lineno}", f"SyntaxError: {error.msg}"
        raise UsageError(f"--plugin {place}: {what}") from error


def _sha256(files: Sequence[Path]) -> str:
    digests = (hashlib.sha256(_read[str(file)]).digest() for file in files)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _files(path: Path, module: str = "") -> list[Path]:
    """A plugin's file, and those of its folder that it or one of its modules imports.

    They are read once; packages around a module are run before it, and so are among its files.
    """
    folder, found = path.parent, set[Path]()
    left = [path, *_named(folder, module)]
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        if str(file) not in _read:
            _read[str(file)] = file.read_bytes()
        for node in ast.walk(ast.parse(_read[str(file)], str(file))):
            if isinstance(node, ast.Import):
                left += [each for alias in node.names for each in _named(folder, alias.name)]
            elif isinstance(node, ast.ImportFrom):
                start = file.parents[node.level - 1] if node.level else folder
                base = node.module or ""
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
                left += [each for name in names for each in _named(start, name)]
    return sorted(found)


def _named(folder: Path, name: str) -> Iterator[Path]:
    """A module's file in a folder, and those of its packages; none where it is elsewhere."""
    parts = [part for part in name.split(".") if part]
    # A plugin may lie beside the suite, whose own code has protocol numbers, or be installed.
    if parts[:1] == ["bench"] or folder.name in ("site-packages", "dist-packages"):
        return
    # A package may import its own modules by their whole names.
    for start in {folder, folder.parent if parts[:1] == [folder.name] else folder}:
        for count in range(1, len(parts) + 1):
            place = start.joinpath(*parts[:count])
            if place.with_suffix(".py").is_file():
                yield place.with_suffix(".py")
            if (place / "__init__.py").is_file():
                # A package that is imported itself may import any of its modules.
                whole = count == len(parts)
                yield from place.rglob("*.py") if whole else [place / "__init__.py"]
