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
    for path in RUNS.glob("*/measured-*.json"):
        content = json.loads(path.read_text())["content"]
        trained = json.loads((path.parent / "training.json").read_text())["content"]
        rows = table[table.run_id == content["run_id"]].set_index("metric")
        metrics = content["metrics"]
        flat = {name: metrics[name] for name in ("train_mse", "test_mse", "mean_image_mse")}
        flat["rank"] = sum(v > metrics["spectrum"][0] / 1000 for v in metrics["spectrum"])
        flat |= {f"fid_{compared}": value for compared, value in metrics["fid"].items()}
        for kind in ("neighbours", "log_likelihood"):
            for sampler, numbers in metrics[kind].items():
                flat |= {f"{kind}_{sampler}_{part}": n for part, n in numbers.items()}
        assert rows.value.to_dict() == flat
        for field in ("depth", "seed", "latent_dim", "epochs"):
            assert set(rows[field]) == {trained["spec"][field]}
        assert set(rows["extractor"]) == {content["extractor"]["name"]}


def test_what_cannot_be_exported_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--export", str(tmp_path / "all.xls"), "--runs-dir", str(RUNS)]) == 2
    assert "must end in .csv" in capsys.readouterr().err
    assert main(["--export", str(tmp_path / "all.csv"), "--runs-dir", str(tmp_path)]) == 1
    assert "no finished runs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
