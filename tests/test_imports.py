"""Arrows between modules point one way, and what must answer at once imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.report_runs import GOLDEN

PACKAGE = Path(__file__).parent.parent / "bench"

# From the ground up; a room may import those before it, and itself.
ROOMS = [
    "bench",
    "errors",
    "files",
    "hashing",
    "machine",
    "device",
    "tensors",
    "screen",
    "data",
    "experiments",
    "store",
    "models",
    "evaluation",
    "training",
    "report",
    "campaign",
    "options",
    "cli",
    "__main__",
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
    level = {room: i for i, room in enumerate(ROOMS)}
    assert {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "_."} == {*ROOMS[1:-1]}
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
        (["--plan", "--table", "4", "--profile", "smoke"], {"joblib", "numpy"}),
        (
            ["--collect", "--table", "4", "--tables-dir", "{tmp}", "--runs-dir", str(GOLDEN)],
            {"pandas", "scipy", "numpy"},
        ),
    ],
)
def test_what_must_answer_at_once_imports_nothing_heavy(
    arguments: list[str], allowed: set[str], tmp_path: Path
) -> None:
    filled = ["--runs-dir", str(tmp_path), *(a.format(tmp=tmp_path) for a in arguments)]
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
        "torch.backends.cudnn.allow_tf32); import bench.campaign.worker; "
        "b = (torch.get_num_threads(), torch.initial_seed(), torch.backends.cudnn.allow_tf32); "
        "assert a == b, (a, b)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_top_floor_is_small_and_no_module_name_stands_twice() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 11
    names = [path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__"]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_two_classes_have_one_name() -> None:
    names = [
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert {name for name in names if names.count(name) > 1} == set()
