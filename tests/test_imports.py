"""Arrows between modules point one way, and what must answer at once imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bench"

# From the ground up; a module may import those of lower layers, and of its own folder.
LAYERS = [
    {"bench", "errors"},
    {"files", "plugins", "protocol", "spec"},
    {"arithmetic", "hardware", "provenance", "tensors"},
    {"data"},
    {"models", "profiles", "published", "experiments", "store"},
    {
        "training",
        "evaluation",
        "cluster",
        "events",
        "housekeeping",
        "job",
        "locate",
        "planning",
        "report",
    },
    {"backends", "execute", "progress", "resolve"},
    {"render", "runner", "verify"},
    {"commands"},
    {"cli"},
    {"embed"},
]
HEAVY = {"torch", "torchvision", "sklearn", "matplotlib", "pandas", "scipy", "numpy", "joblib"}


def _room(module: str) -> str:
    """Top folder or file of a module, ``bench`` for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "bench"


def _imports(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bench":
            module = str(node.module)
            rooms |= {f"{module}.{a.name}" for a in node.names} if module == "bench" else {module}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name for alias in node.names if alias.name.split(".")[0] == "bench"}
    return {_room(module) for module in rooms}


def test_arrows_point_one_way() -> None:
    level = {room: i for i, rooms in enumerate(LAYERS) for room in rooms}
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE).with_suffix("")
        room = (
            "bench"
            if relative.name == "__init__" and len(relative.parts) == 1
            else relative.parts[0]
        )
        for imported in _imports(path) - {room, "__version__"}:
            assert level[imported] < level[room], f"{path} imports {imported}"


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["--plan", "--table", "4", "--profile", "smoke"], set()),
        (["--collect", "--table", "4", "--tables-dir", "{tmp}"], {"pandas", "scipy", "numpy"}),
    ],
)
def test_what_must_answer_at_once_imports_nothing_heavy(
    arguments: list[str], allowed: set[str], tmp_path: Path
) -> None:
    filled = [a.format(tmp=tmp_path) for a in arguments] + ["--runs-dir", str(tmp_path)]
    program = (
        "import sys\nfrom bench.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *filled], capture_output=True, text=True, check=True
    )
    assert set(ast.literal_eval(result.stderr.splitlines()[-1])) <= allowed


def test_importing_the_package_changes_nothing() -> None:
    """No thread counts, seeds or switches are set by an import."""
    program = (
        "import torch; a = (torch.get_num_threads(), torch.initial_seed(), "
        "torch.backends.cudnn.allow_tf32); import bench.execute, bench.runner; "
        "b = (torch.get_num_threads(), torch.initial_seed(), torch.backends.cudnn.allow_tf32); "
        "assert a == b, (a, b)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
