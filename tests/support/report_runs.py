"""A runs folder such as a report is made of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from bench.cli import main
from bench.data import dataset
from bench.store.folders import Store
from bench.store.identity import run_id
from bench.store.records import FailedRun
from tests.support.results import results_in

GOLDEN = Path(__file__).parent.parent / "report" / "golden" / "runs"
# What the reason of a failure may hold.
REASON = "RuntimeError: </td><script>document.title = 'taken'</script> & more"


def fill(runs_dir: Path) -> Store:
    """Tables 3 and 4 of two seeds, with curves, and a seed that failed."""
    shutil.copytree(GOLDEN, runs_dir)
    store = Store(runs_dir)
    results = results_in(runs_dir)
    for each in results:
        rows = [{"step": 9 * i, "epoch": i, "loss": 1 / (i + 1), "seconds": i} for i in range(5)]
        store.history(each.run_id).write_text("".join(json.dumps(row) + "\n" for row in rows))
    failed = replace(next(each.spec for each in results if each.spec.depth == 12), seed=7)
    name = run_id(failed, dataset(failed.dataset).fingerprint)
    store.write_failure(FailedRun(name, failed, REASON, "Traceback ..."))
    return store


def write(runs_dir: Path, folder: Path) -> str:
    """The report of a runs folder as text; the file is ``report.html`` in the other folder."""
    path = folder / "report.html"
    folders = [a for n in ("tables", "figures") for a in (f"--{n}-dir", str(folder / n))]
    # Tables 5 and 6 were not run.
    assert main(["--report", str(path), "--runs-dir", str(runs_dir), *folders]) == 4
    return path.read_text()
