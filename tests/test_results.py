"""What is committed of runs, tables and documents belongs together."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli import main
from bench.embed import embed
from bench.embed import main as embed_main
from bench.errors import UsageError
from bench.store import Store

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs"
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "reproduction.md"]
EXTRA = ["3-variance", "mnist-baselines", "shape"]


def test_documents_have_the_numbers_of_the_runs() -> None:
    assert embed_main([*map(str, DOCUMENTS), "--check", "--runs-dir", str(RUNS)]) == 0


def _rows_by_hand() -> Iterator[tuple[tuple[int, float, int], dict[str, float]]]:
    """Rows that no command prints: depth, scale and epochs of their runs; numbers by column."""
    columns: list[str] = []
    for line in DOCUMENTS[1].read_text().splitlines():
        label, *cells = (cell.strip(" *`") for cell in line.strip("|").split("|"))
        found = re.fullmatch(r"l = (\d+)(?:, weights x(\d))?(?:, (\d+) epochs)?", label)
        if found is not None:
            runs = int(found[1]), float(found[2] or 1), int(found[3] or 7)
            yield runs, dict(zip(columns, map(float, cells), strict=True))
        elif not label:
            columns = cells


def test_ranks_by_threshold_and_fids_by_sampler_are_those_of_the_runs() -> None:
    measured: dict[tuple[int, float, int], list[dict[str, float]]] = {}
    for record in Store(RUNS).records():
        spec = record.spec
        settings = (spec.method, spec.dataset, spec.shuffle, spec.precision)
        if settings == ("irmae", "mnist", True, "fp32"):
            ranks = {key.replace("e-0", "e-"): n for key, n in record.metrics["ranks"].items()}
            numbers = measured.setdefault((spec.depth, spec.init_scale, spec.epochs), [])
            numbers.append(ranks | record.metrics["fid"])
    rows = list(_rows_by_hand())
    assert len(rows) == 14
    for runs, printed in rows:
        for column, value in printed.items():
            mean = statistics.mean(numbers[column] for numbers in measured[runs])
            assert value == pytest.approx(mean, abs=0.051), (runs, column)


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        ("tables", [f"--table={name}" for name in ("all", *EXTRA)]),
        ("tables/paper-30-epochs", ["--table=4", "--profile=paper", "--set=epochs=30"]),
    ],
)
def test_tables_are_those_of_the_runs(tmp_path: Path, folder: str, arguments: list[str]) -> None:
    folders = [f"--runs-dir={RUNS}", f"--tables-dir={tmp_path}"]
    assert main(["--collect", *arguments, *folders]) in (0, 1)
    rendered = sorted(path.name for path in tmp_path.iterdir())
    assert rendered == sorted(path.name for path in (ROOT / folder).glob("[a-z]*.*"))
    for name in rendered:
        assert (tmp_path / name).read_bytes() == (ROOT / folder / name).read_bytes(), name


def test_runs_are_whole_and_small() -> None:
    store = Store(RUNS)
    folders = [path for path in RUNS.iterdir() if path.is_dir() and path.name != ".cache"]
    records = {record.run_id: record for record in store.records()}
    assert records
    assert set(records) == {path.name for path in folders if (path / "record.json").exists()}
    for run_id, record in records.items():
        history = store.history(run_id).read_text().splitlines()
        assert json.loads(history[-1])["step"] == record.spec.steps
        assert len(store.arrays(run_id, "spectrum")["spectrum"]) == record.spec.latent_dim


def test_figures_are_there_as_pdf_and_png() -> None:
    figures = ROOT / "figures"
    for folder, expected in (
        (figures, {"figure2", "spectra-depth", "spectra-variance", "curves-depth"}),
        (figures / "paper-30-epochs", {"spectra-depth", "curves-depth"}),
    ):
        drawn = {path.stem for path in folder.glob("*.png")}
        assert drawn >= expected
        assert drawn == {path.stem for path in folder.glob("*.pdf")}


def test_a_block_is_what_its_arguments_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "page.md"
    mark = "<!-- run_all.py --table 4 --profile quick -->\n"
    before = f"before\n{mark}old\n<!-- end -->\nafter\n"
    document.write_text(before)
    command = [str(document), "--runs-dir", str(RUNS)]
    assert embed_main([*command, "--check"]) == 1
    assert document.read_text() == before
    assert "make docs" in capsys.readouterr().err
    assert embed_main(command) == 0
    table, claims = document.read_text().split("\n\n")
    assert table.startswith(f"before\n{mark}|")
    assert "| Latent rank | paper " in table
    assert claims.startswith("- Claim: ")
    assert claims.endswith("\n<!-- end -->\nafter\n")
    assert embed_main([*command, "--check"]) == 0


def test_a_block_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no table comes of it"):
        embed("<!-- run_all.py --figure 2 -->\n<!-- end -->", tmp_path)
