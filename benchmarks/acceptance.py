"""Whether the suite does on a GPU what it does on a CPU, and how fast: ``make gpu-acceptance``.

Writes what each check proves, and what came of it, as ``acceptance.json`` and ``acceptance.md``.
The exit status is 1 where one fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.device import why_unusable
from bench.evaluation.spectrum import rank
from bench.experiments.spec import PRECISIONS, TrainingSpec
from bench.experiments.tables import TABLES
from bench.files import write_text
from bench.machine import core_count
from bench.report.markdown import escape
from benchmarks.report import write_json
from benchmarks.training import trained

ROOT = Path(__file__).parent.parent
# How far a loss on the GPU may be from that on the CPU in fp32: sums in another order drift apart.
TOLERANCES = {"fp32": 0.02, "tf32": 0.03, "bf16": 0.06}
# A GPU draws other noise of the same seed: by other noise WAE-MMD's loss was 3 % apart on a CPU.
NOISY, OF_NOISE = {"vae", "wae-mmd", "nested-dropout"}, 0.1
# The same of a rank, as a share of it, and one at least: singular values may lie at the threshold,
# and rounding decides on which side.
RANKS = {"fp32": 0.02, "tf32": 0.02, "bf16": 0.05}


@dataclass(frozen=True)
class Line:
    """One check.

    Attributes:
        check: what was done.
        proves: what follows if it passed.
        passed: whether it did.
        found: what came of it, in words.
        seconds: how long it took.
    """

    check: str
    proves: str
    passed: bool
    found: str
    seconds: float


def checked(check: str, proves: str, do: Callable[[], tuple[bool, str]]) -> Line:
    """Carry a check out; one that raises has failed, and says what it raised."""
    start = time.perf_counter()
    try:
        passed, found = do()
    except Exception as error:  # noqa: BLE001 - the other checks go on
        passed, found = False, " ".join(f"{type(error).__name__}: {error}".split())
    line = Line(check, proves, bool(passed), found, round(time.perf_counter() - start, 1))
    print(f"{'passed' if passed else 'FAILED'}: {check}: {found} ({line.seconds} s)", flush=True)
    return line


def command(*words: str, **environment: str) -> tuple[bool, str]:
    """Run Python with these arguments; what it printed last is what came of it."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
    return done.returncode == 0, lines[-1]


def specs() -> dict[str, TrainingSpec]:
    """A run of each method that is trained."""
    tables = [TABLES["rank-methods"], TABLES["mnist-baselines"]]
    cells = {cell.training.method: cell.training for table in tables for cell in table.cells}
    # Its fit is in closed form.
    del cells["pca"]
    return cells


def ended(spec: TrainingSpec, steps: int, device: torch.device) -> tuple[list[float], int]:
    """Losses by line of history, and the rank of the test codes, after the last steps of a run."""
    (run,) = trained([spec], steps, device)
    return [line["loss"] for line in run.history], rank(run.spectra[-1])


def twins(
    spec: TrainingSpec, steps: int, device: torch.device, expected: tuple[list[float], int]
) -> tuple[bool, str]:
    """Compare a run on the device with what its twin in fp32 came to on a CPU."""
    precision = spec.precision
    losses, found = ended(spec, steps, device)
    theirs, wanted = expected
    apart = float(np.abs(np.array(losses) / np.array(theirs) - 1).max())
    allowed = TOLERANCES[precision] + OF_NOISE * (spec.method in NOISY)
    text = f"losses at most {apart:.2%} apart, {allowed:.0%} allowed; rank {found}"
    share = OF_NOISE if spec.method in NOISY else RANKS[precision]
    passed = apart <= allowed and abs(found - wanted) <= max(1.0, share * wanted)
    return passed, f"{text}, on the CPU {wanted}"


_GPU_TESTS = ("-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "gpu")


def checks(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """Every check, the cheapest first."""
    device: torch.device = arguments.device
    # The tests take the first GPU that they see.
    seen = {"CUDA_VISIBLE_DEVICES": str(device.index)} if device.index else {}
    yield checked(
        "pytest -m gpu",
        "training alone and side by side, mixtures and measuring on this GPU pass their tests",
        lambda: command(*_GPU_TESTS, **seen),
    )
    for name, spec in specs().items():
        torch.set_num_threads(core_count())
        expected = ended(spec, arguments.steps, torch.device("cpu"))
        for precision in PRECISIONS if device.type == "cuda" else ("fp32", "bf16"):
            yield checked(
                f"{name} in {precision}, {arguments.steps} steps on {device} and on the CPU",
                f"{name} trains on the GPU as on a CPU",
                partial(
                    twins, replace(spec, precision=precision), arguments.steps, device, expected
                ),
            )
    yield checked(
        f"benchmarks.training at {', '.join(map(str, arguments.models))} runs",
        "how many images a second so many runs train, against the usual loop on this GPU",
        lambda: command(
            *("-m", "benchmarks.training", "--device", str(device), "--rounds", "1"),
            *("--steps", str(arguments.steps), "--models", *map(str, arguments.models)),
            *("--out", str(folder / "training.json")),
        ),
    )
    folders = [
        word
        for name in ("runs", "tables", "figures")
        for word in (f"--{name}-dir", str(folder / name))
    ]
    yield checked(
        f"run_all.py --table 4 --profile {arguments.profile} --set epochs=2",
        "the whole way of a user on a GPU: training, measuring and the table",
        lambda: command(
            *("run_all.py", "--table", "4", "--profile", arguments.profile),
            *("--set", "epochs=2", "--device", str(device), "--extractor", "classifier"),
            *("--data-dir", str(arguments.data_dir), *folders),
        ),
    )


def markdown(lines: list[Line]) -> str:
    """The checks as a table."""
    rows = [
        f"| {each.check} | {'passed' if each.passed else '**failed**'} | {escape(each.found)} | "
        f"{each.seconds:,.0f} | {each.proves} |"
        for each in lines
    ]
    heads = ["| check | | found | seconds | what it proves |", "| --- | --- | --- | ---: | --- |"]
    return "\n".join([*heads, *rows]) + "\n"


def main() -> int:
    """Carry out every check and write what came of them; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=torch.device, default="cuda", help="cuda, or cuda:N")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--steps", type=int, default=200, help="of each method's run")
    parser.add_argument("--models", type=int, nargs="+", default=[1, 4, 16, 18])
    parser.add_argument("--profile", default="paper", help="of Table 4")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), metavar="FOLDER")
    arguments = parser.parse_args()
    if reason := why_unusable(arguments.device):
        print(f"nothing can be computed on {arguments.device}: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = list(checks(arguments, folder))
        measured = folder / "training.json"
        training = json.loads(measured.read_text(encoding="utf-8")) if measured.is_file() else {}
    kind = arguments.device.type
    device = torch.cuda.get_device_name(arguments.device) if kind == "cuda" else kind
    found = {
        "checks": [asdict(line) for line in lines],
        "training": training.get("comparisons", []),
    }
    write_json(arguments.out / "acceptance.json", core_count(), device, **found)
    write_text(arguments.out / "acceptance.md", markdown(lines))
    return 0 if all(line.passed for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
