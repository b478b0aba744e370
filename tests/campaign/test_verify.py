from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.files import lock
from bench.store.folders import Store
from tests.support.results import result, results_in, write
from tests.support.tiny import TINY_ARGUMENTS


def test_a_run_is_verified(
    runs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--only", "*-l[24]-*", "--jobs", "1"]
    assert main(command) == 0
    store = Store(runs_dir)
    two, four = sorted(results_in(runs_dir), key=lambda each: each.spec.depth)
    before = {path: path.stat().st_mtime_ns for path in runs_dir.glob("mnist*/*")}
    capsys.readouterr()
    # Another process may be measuring it meanwhile.
    with lock(store.lock_path(two.run_id)):
        assert main(["--verify", two.run_id, *folders]) == 0
    assert capsys.readouterr().out == f"{two.run_id}: the same to the last bit, times apart\n"

    # A measurement and a history that no longer say what happened.
    error = four.metrics["test_mse"]
    four.measurements[0].metrics["test_mse"] = 2 * error
    store.write_measured(four.measurements[0])
    history = store.history(four.run_id)
    history.write_text(history.read_text().replace('"loss": 0.', '"loss": 1.'))
    before |= {path: path.stat().st_mtime_ns for path in store.folder(four.run_id).iterdir()}
    capsys.readouterr()
    assert main(["--verify", "*-l4-*", *folders]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{four.run_id}: test_mse (classifier): {2 * error!r} before, {error!r} now",
        f"{four.run_id}: losses of history.jsonl",
    ]
    # On a GPU, sums are taken in an order of its own: what rounding allows is no difference.
    made = four.trained.provenance
    on_gpu = replace(
        four.trained,
        provenance=made | {"side_by_side": 4, "device": "a GPU", "from_step": 1_500},
        earlier=[made | {"cpu": "of another make"}],
    )
    store.write_trained(on_gpu)
    four.measurements[0].metrics["test_mse"] = 1.001 * error
    store.write_measured(four.measurements[0])
    assert main(["--verify", "*-l4-*", *folders]) == 0
    four.measurements[0].metrics["test_mse"] = 2 * error
    store.write_measured(four.measurements[0])
    capsys.readouterr()
    assert main(["--verify", "*-l4-*", *folders]) == 1
    output = capsys.readouterr().out
    assert "(up to step 1,500 it was made with cpu of another make)" in output
    assert "made on a GPU: relative differences up to" in output
    assert all(path.stat().st_mtime_ns == before[path] for path in runs_dir.glob("*-l2-*/*"))


def test_what_cannot_be_verified_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    write(store, result())
    name, message = "mnist-sampel-irmae", "no finished run of that name: mnist-sample-irmae-d8-l2"
    assert main(["--verify", name, "--runs-dir", str(store.root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
