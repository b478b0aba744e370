from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.cli import main

RUNS = Path(__file__).parent / "golden" / "runs"


def test_every_number_of_every_record_is_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    assert main(["--export", str(path), "--runs-dir", str(RUNS)]) == 0
    table = pd.read_csv(path)
    assert table.run_id.nunique() == 12
    assert not table.duplicated(["run_id", "metric"]).any()
    for record in RUNS.glob("*/record.json"):
        content = json.loads(record.read_text())["content"]
        rows = table[table.run_id == content["run_id"]].set_index("metric")
        metrics = content["metrics"]
        flat = {name: metrics[name] for name in ("rank", "train_mse", "test_mse")}
        flat |= {f"rank_{threshold}": value for threshold, value in metrics["ranks"].items()}
        flat |= {f"fid_{compared}": value for compared, value in metrics["fid"].items()}
        flat |= {f"overlap_{name}": value for name, value in metrics["overlap"].items()}
        assert rows.value.to_dict() == flat
        for field in ("depth", "seed", "latent_dim", "epochs", "features"):
            assert set(rows[field]) == {content["spec"][field]}


def test_what_cannot_be_exported_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--export", str(tmp_path / "all.xls"), "--runs-dir", str(RUNS)]) == 2
    assert "must end in .csv or .parquet" in capsys.readouterr().err
    assert main(["--export", str(tmp_path / "all.csv"), "--runs-dir", str(tmp_path)]) == 1
    assert "no finished runs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    paths = [tmp_path / f"all.{ending}" for ending in ("csv", "parquet")]
    for path in paths:
        assert main(["--export", str(path), "--runs-dir", str(RUNS)]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(paths[0]), pd.read_parquet(paths[1]))


def test_parquet_without_its_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "all.parquet"
    assert main(["--export", str(path), "--runs-dir", str(RUNS)]) == 1
    assert "pip install pyarrow" in capsys.readouterr().err
    assert not path.exists()
