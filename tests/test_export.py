from __future__ import annotations

import importlib.util
import json
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


def test_parquet_is_the_same_table_or_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.parquet"
    status = main(["--export", str(path), "--runs-dir", str(RUNS)])
    if importlib.util.find_spec("pyarrow") is None:
        assert status == 1
        assert "pip install pyarrow" in capsys.readouterr().err
        assert not path.exists()
    else:
        assert status == 0
        assert pd.read_parquet(path).run_id.nunique() == 12
