"""A runs folder such as a report is made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from bench.cli import main
from bench.planning import run_id_of
from bench.profiles import PROFILES
from bench.store import FailedRun, Failure, Store

GOLDEN = Path(__file__).parent / "golden" / "runs"
# What a traceback may hold.
TRACEBACK = "Traceback ...\nRuntimeError: </pre><script>document.title = 'taken'</script> & more"


def fill(runs_dir: Path) -> Store:
    """Tables 3 and 4 of two seeds, with curves, spectra and samples, and a seed that failed."""
    shutil.copytree(GOLDEN, runs_dir)
    store = Store(runs_dir)
    rng = np.random.default_rng(0)
    records = list(store.records())
    for record in records:
        spectrum = np.geomspace(1, 1e-12, record.spec.latent_dim)
        np.savez(store.folder(record.run_id) / "arrays.npz", spectrum=spectrum)
        rows = [{"step": 9 * i, "epoch": i, "loss": 1 / (i + 1), "seconds": i} for i in range(5)]
        store.history(record.run_id).write_text("".join(json.dumps(row) + "\n" for row in rows))
        samples = Image.fromarray(rng.integers(0, 256, (33, 33), np.uint8))
        samples.save(store.folder(record.run_id) / "samples.png")
    failed = next(record.spec for record in records if record.spec.depth == 12)
    failed = PROFILES["smoke"].apply(failed)
    failed = failed.with_settings({"seed": 7})
    failure = Failure("RuntimeError: </pre><script>", TRACEBACK)
    store.write_failure(FailedRun(run_id_of(failed), failed, failure))
    return store


def write(runs_dir: Path, folder: Path) -> str:
    """The report of a runs folder as text; the file is ``report.html`` in the other folder."""
    path = folder / "report.html"
    folders = [a for n in ("tables", "figures") for a in (f"--{n}-dir", str(folder / n))]
    # Tables 5 and 6 were not run.
    assert main(["--report", str(path), "--runs-dir", str(runs_dir), *folders]) == 1
    return path.read_text()
