"""Whatever lies in a file, it is read or refused in one line, and never half believed."""

import json
import re
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.data import dataset, register_dataset
from bench.errors import UsageError
from bench.experiments.spec import Cell, FigureSpec, TableSpec, TrainingSpec
from bench.files import write_bytes
from bench.hashing import sha256
from bench.report.display import Display
from bench.report.figures.write import write_figure
from bench.report.frame import TableResults
from bench.report.page import write_report
from bench.report.table_files import write_table
from bench.store.folders import Store, read_history, read_spectra
from bench.store.identity import run_id
from bench.store.records import FailedRun
from bench.tensors import load_tensors, save_tensors
from tests.support.results import keep_images, result, write
from tests.support.tiny import TINY

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(found for key, each in inner for found in _paths(each, (*path, key)))]


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value in one place."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


SPEC = json.loads(json.dumps(asdict(TINY)))
RESULT = result()
RUN_ID = RESULT.run_id


@given(st.sampled_from(_paths(SPEC)), JSON)
@quick
def test_any_spec_is_a_spec_or_refused(path: tuple[Any, ...], new: object) -> None:
    refused = ""
    try:
        spec = TrainingSpec.from_json(_changed(SPEC, path, new))
    except UsageError as error:
        refused = str(error)
    assert len(refused.splitlines()) <= 1
    if not refused:
        assert TrainingSpec.from_json(json.loads(json.dumps(asdict(spec)))) == spec


def _as_stored(content: object) -> str:
    """Canonical JSON, with the numbers too that it refuses to write."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("kind", ["training", f"measured-{RESULT.measurements[0].identity}"])
@given(data=st.data(), new=JSON)
@quick
def test_a_forged_record_is_of_its_run_or_refused(
    tmp_path: Path, kind: str, data: st.DataObject, new: object
) -> None:
    """Its checksum is right: somebody wrote it by hand."""
    store = Store(tmp_path)
    write(store, RESULT)
    file = store.folder(RUN_ID) / f"{kind}.json"
    before = json.loads(file.read_text())["content"]
    content = _changed(before, data.draw(st.sampled_from(_paths(before))), new)
    value = {"schema": 4, "checksum": sha256(_as_stored(content)), "content": content}
    file.write_text(json.dumps(value))
    folder = store.read_folder(RUN_ID)
    if folder.damage:
        assert list(folder.damage) == [file]
        assert folder.measured == ()
    elif folder.trained is not None:
        assert folder.trained.run_id == RUN_ID
        assert run_id(folder.trained.spec, folder.trained.data.fingerprint) == RUN_ID
        for record in folder.measured:
            assert (record.run_id, record.identity) == (RUN_ID, RESULT.measurements[0].identity)


@given(st.binary(max_size=200))
@quick
def test_any_bytes_in_a_runs_folder_are_survived(tmp_path: Path, content: bytes) -> None:
    store = Store(tmp_path / "runs")
    folder = store.folder(RUN_ID)
    folder.mkdir(parents=True, exist_ok=True)
    names = ("training.json", "failure.json", "spectra.npz", "spec.json")
    for name in (
        *names,
        "history.jsonl",
        "progress.jsonl",
        "measured-01234567.json",
        "measured-01234567.npz",
    ):
        (folder / name).write_bytes(content)
    (read,) = store.read().values()
    assert (read.trained, read.failure, read.measured) == (None, None, ())
    assert read_spectra(folder) is None
    assert isinstance(read_history(folder), list)
    assert store.steps_done(RUN_ID) >= 0
    command = ["--runs-dir", str(store.root), "--tables-dir", str(tmp_path / "tables")]
    assert main(["--collect", "--table", "4", *command]) == 4
    assert main(["--status", *command]) == 0


@given(st.binary(max_size=80), st.integers(0, 400))
@quick
def test_tensors_with_anything_in_them_are_whole_or_absent(
    tmp_path: Path, content: bytes, place: int
) -> None:
    path = tmp_path / "tensors.pt"
    save_tensors(path, {"step": 3})
    whole = path.read_bytes()
    damaged = whole[:place] + content + whole[place + len(content) :]
    path.write_bytes(damaged)
    loaded = load_tensors(path)
    assert loaded == {"step": 3} if damaged == whole else loaded is None


STRANGE = "<script>alert(1)</script> a|b $x_1$ 50% & \\y {z}\n# heading"


def test_names_are_never_markup(tmp_path: Path) -> None:
    """Of data, columns and reasons, in every form of output."""
    run = replace(TINY, dataset="strange")
    declared = replace(dataset(TINY.dataset), name="strange", description=STRANGE)
    register_dataset(declared)
    cells = (Cell(STRANGE, run), Cell("other", replace(run, depth=3)))
    table = TableSpec("strange", STRANGE, STRANGE, cells, ("rank", "fid"), notes=(STRANGE,))
    results = {cell: [result(cell.training, runs_dir=tmp_path)] for cell in cells}
    failed = FailedRun("strange-00", run, STRANGE, STRANGE)
    content = TableResults(table, results, [STRANGE], Display(), STRANGE, {cells[0]: [failed]})
    write_table(content, tmp_path)

    markdown = (tmp_path / "strange.md").read_text()
    assert re.search(r"(?<!\\)<", markdown) is None
    assert "\n#" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}

    latex = (tmp_path / "strange.tex").read_text()
    assert r"\textbackslash{}y \{z\} \# heading" in latex
    assert r"\$x\_1\$ 50\% \&" in latex

    rng = np.random.default_rng(0)
    for made in content.all_results:
        line = {"step": 100, "epoch": 1.0, "loss": 0.1, "seconds": 1.0}
        write_bytes(made.folder / "history.jsonl", f"{json.dumps(line)}\n".encode())
        pictures = rng.integers(0, 256, (40, 1, 32, 32), np.uint8)
        keep_images(made, {"originals": pictures, "samples": pictures[::-1]})
    for kind in ("spectra", "curves", "samples", "tsne"):
        figure = FigureSpec("strange", STRANGE, "strange", kind)
        assert write_figure(figure, content, tmp_path) is not None

    write_report(tmp_path / "report.html", [content], [], display=Display(), left_out=[STRANGE])
    html = (tmp_path / "report.html").read_text()
    assert html.count("<script>") == 0
    assert STRANGE in unescape(html)
