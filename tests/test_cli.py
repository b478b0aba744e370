from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.data import dataset
from bench.data import download as downloading
from bench.errors import BenchError
from bench.evaluation import weights
from bench.experiments import TABLES
from bench.profiles import PROFILES
from bench.store import ARRAYS, FailedRun, Failure, State, Store
from tests.test_store import RECORD
from tests.tiny import TINY_ARGUMENTS


@pytest.fixture
def folders(runs_dir: Path, tmp_path: Path) -> list[str]:
    return ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]


def _fill(
    store: Store, table: str, profile: str, features: str, *, rank: int, seed: int = 0
) -> None:
    for cell in TABLES[table].cells:
        limits = PROFILES[profile]
        data = dataset(limits.datasets.get(cell.run.dataset, cell.run.dataset))
        run = replace(cell.run, dataset=data.name, features=features, seed=seed)
        spec = limits.apply(run)
        store.write_record(
            replace(
                RECORD,
                run_id=spec.run_id(data.fingerprint),
                spec=spec,
                data=data,
                metrics=RECORD.metrics | {"rank": rank},
            )
        )


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figure", "3"], "unknown figure '3'"),
        (["--table", "tabel4"], "did you mean"),
        (["--set", "epoch=3"], "did you mean epochs"),
        (["--table", "4", "--set", "depth=3"], "table4 varies it"),
        (["--table", "3", "--set", "init_scale=3"], "table3 varies it"),
        (["--table", "3", "--set", "beta=0.3"], "no run of table3 has one"),
        (["--seeds", "0"], "must be at least 1"),
        (["--seeds", "two"], "invalid"),
        (["--device", "tpu"], "--device takes"),
        (["--plan", "--collect"], "not allowed with"),
        (["--only", "nothing*", "--plan"], "matches none of mnist-irmae-d128-l8-s0"),
        (["--precision", "fp16"], "invalid choice"),
        (["--plan", "--set", "latent_dim=0"], "latent_dim must be at least 1"),
        (["--tab", "4"], "unrecognized"),
    ],
)
def test_bad_usage_ends_in_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], folders: list[str]
) -> None:
    assert main([*arguments, *folders]) == 2
    assert message in _error(capsys)


@given(arguments=st.lists(st.text(max_size=12), max_size=3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_arguments_end_in_a_status(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [*arguments, "--plan", "--runs-dir", str(tmp_path)]
    try:
        status = main(words)
    except SystemExit as exit_:  # --help and --version, as argparse has them
        status = int(str(exit_.code))
    output = capsys.readouterr()
    assert status in (0, 2)
    assert "Traceback" not in output.err
    assert len(output.err.splitlines()) == (1 if status == 2 else 0)


def test_a_table_is_trained_then_collected(
    folders: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, runs_dir: Path
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1"]
    assert main([*command, "--plan"]) == 0
    assert "4 to do" in capsys.readouterr().out

    assert main(command) == 0
    output = capsys.readouterr()
    assert "FID by classifier" in output.err
    assert [line[:5] for line in output.err.splitlines() if line.startswith("[")] == [
        f"[{i}/4]" for i in range(1, 5)
    ]
    for word in ("one seed", "classifier of mnist-sample", "gmm10", "smoke, latent_dim=8"):
        assert word in output.out
    for ending in ("tex", "md", "csv"):
        assert (tmp_path / "tables" / f"table4.{ending}").is_file()
    for folder in runs_dir.glob("mnist*"):
        names = {path.name for path in folder.iterdir()}
        assert names == {"spec.json", "record.json", "history.jsonl", *ARRAYS, "samples.png"}

    assert main([*command, "--plan"]) == 0
    assert "4 done, 0 failed, 0 started, 0 to do" in capsys.readouterr().out
    before = (tmp_path / "tables" / "table4.csv").read_bytes()
    assert main([*command, "--collect"]) == 0
    assert (tmp_path / "tables" / "table4.csv").read_bytes() == before
    # Another sampler is another column of the same records.
    assert main([*command, "--collect", "--sampler", "mvg"]) == 0
    assert b"mvg" in (tmp_path / "tables" / "table4.csv").read_bytes()


def test_a_diverging_run_is_recorded_and_the_table_still_written(
    folders: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, runs_dir: Path
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l[24]-*"]
    assert main([*command, "--set", "lr=1e30"]) == 1
    output = capsys.readouterr()
    assert "FAILED: NonFiniteLossError" in output.err
    assert "Traceback" not in output.err
    assert "--" in output.out
    assert "loss became" in output.out
    failures = list(runs_dir.glob("*/failure.json"))
    assert len(failures) == 2
    assert "Traceback" in failures[0].read_text()
    # Failed runs stay as they are until they are asked for.
    assert main([*command, "--set", "lr=1e30"]) == 1
    assert "FAILED" not in capsys.readouterr().err
    assert main([*command, "--set", "lr=1e30", "--plan"]) == 0
    assert "0 done, 2 failed" in capsys.readouterr().out
    assert main([*command, "--set", "lr=1e30", "--retry-failed"]) == 1
    assert capsys.readouterr().err.count("FAILED") == 2


def test_force_runs_anew(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l2-*"]
    assert main(command) == 0
    path = next(runs_dir.glob("mnist*/record.json"))
    first, stamp = Store(runs_dir).record(path.parent.name), path.stat().st_mtime_ns
    assert main(command) == 0
    assert path.stat().st_mtime_ns == stamp
    assert main([*command, "--force"]) == 0
    assert path.stat().st_mtime_ns != stamp
    second = Store(runs_dir).record(path.parent.name)
    assert first is not None
    assert second is not None
    assert first.metrics == second.metrics


def test_collect_never_trains_and_says_what_is_missing(
    folders: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, runs_dir: Path
) -> None:
    store = Store(runs_dir)
    _fill(store, "table4", "smoke", "classifier", rank=5)
    last = replace(TABLES["table4"].cells[3].run, dataset="mnist-sample", features="classifier")
    spec = PROFILES["smoke"].apply(last)
    run_id = spec.run_id(dataset(spec.dataset).fingerprint)
    store.forget(run_id)
    assert main(["--table", "4", "--collect", *folders]) == 1
    output = capsys.readouterr().out
    assert f"-- Depth l 12: {spec.name} not run" in output
    rows = [line.split("|") for line in output.splitlines() if "measured" in line]
    assert [row[-2].strip() for row in rows[:3]] == ["--", "--", "--"]
    store.write_failure(FailedRun(run_id, spec, Failure("out of memory", "")))
    assert main(["--table", "4", "--collect", *folders]) == 1
    assert "failed (out of memory)" in capsys.readouterr().out
    # A run that was not asked for is not missed.
    assert main(["--table", "4", "--collect", *folders, "--only", "*-l[248]-*"]) == 0


def test_collect_takes_what_fills_most_and_among_equals_the_most_faithful(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    store = Store(runs_dir)
    _fill(store, "table4", "smoke", "classifier", rank=1)
    assert main(["--table", "4", "--collect", *folders]) == 0
    assert "Profile smoke" in capsys.readouterr().out
    _fill(store, "table4", "quick", "classifier", rank=2)
    assert main(["--table", "4", "--collect", *folders]) == 0
    assert "Profile quick" in capsys.readouterr().out
    _fill(store, "table4", "paper", "classifier", rank=3)
    _fill(store, "table4", "paper", "inception", rank=4)
    assert main(["--table", "4", "--collect", *folders]) == 0
    output = capsys.readouterr().out
    assert "Profile paper" in output
    assert re.search(r"Latent rank \| measured +\| +4 \| +4 \|", output)
    assert main(["--table", "4", "--collect", *folders, "--features", "classifier"]) == 0
    assert re.search(r"Latent rank \| measured +\| +3 \| +3 \|", capsys.readouterr().out)


def test_seeds_that_are_cached_are_tabulated(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    for seed, rank in enumerate((4, 5, 9)):
        _fill(Store(runs_dir), "table4", "smoke", "classifier", rank=rank, seed=seed)
    assert main(["--table", "4", "--collect", *folders]) == 0
    # By hand: mean 6, deviation sqrt(7), 4.3027 * sqrt(7 / 3) = 6.57.
    assert "6.00 \N{PLUS-MINUS SIGN} 6.57" in capsys.readouterr().out
    assert main(["--table", "4", "--collect", *folders, "--seeds", "1"]) == 0
    assert re.search(r"Latent rank \| measured +\| +4 \|", capsys.readouterr().out)
    assert main(["--table", "4", "--collect", *folders, "--seeds", "4"]) == 1


def test_a_damaged_record_is_reported_by_collect(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    _fill(Store(runs_dir), "table4", "smoke", "classifier", rank=4)
    path = next(runs_dir.glob("*-l2-*/record.json"))
    path.write_text(path.read_text()[:-30])
    assert main(["--table", "4", "--collect", *folders]) == 1
    output = capsys.readouterr().out
    assert str(path) in output
    assert "truncated" in output


def test_unreachable_weights_cost_one_attempt_and_one_line(
    folders: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    attempts = []

    def refuse(url: str) -> bytes:
        attempts.append(url)
        raise BenchError("host: no answer within 8 s")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(downloading, "download", refuse)
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l[24]-*"]
    assert main([*command, "--features", "auto"]) == 0
    err = capsys.readouterr().err
    assert err.count("Inception's weights are out of reach") == 1
    assert len(attempts) == 1
    assert weights.NAME in attempts[0]
    # What is cached needs no weights, and so no attempt.
    assert main([*command, "--features", "auto"]) == 0
    assert len(attempts) == 1
    # Asked for by name, it is an error.
    assert main([*command, "--features", "inception"]) == 1
    assert "no answer within 8 s" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--fid-weights", str(tmp_path / "none.pth")]) == 1
    assert "no such file" in capsys.readouterr().err.splitlines()[-1]


def test_too_many_images_are_refused(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1"]
    assert main([*command, "--set", "train_images=2000"]) == 2
    assert "mnist-sample has 1,024 train images" in capsys.readouterr().err.splitlines()[-1]
    assert not list(runs_dir.glob("mnist*"))


def test_an_unexpected_error_is_one_line_without_debug(
    folders: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> State:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Store, "state", broken)
    assert main(["--plan", *folders]) == 1
    assert "unexpected ZeroDivisionError: a bug (see --debug)" in _error(capsys)
    assert main(["--plan", "--debug", *folders]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--only", "*-l2-*", "--jobs", "1"]
    assert main([*command, "--device", "cuda:99"]) == 2
    assert "finds" in capsys.readouterr().err.splitlines()[-1]


def test_own_data_fill_tables_of_their_own(
    folders: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.evaluation import trained

    monkeypatch.setattr(trained, "STEPS", 5)
    shutil.copytree(dataset("mnist-sample").folder, tmp_path / "kuzushiji")
    own = ["--dataset", f"idx:{tmp_path / 'kuzushiji'}"]
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, *own, "--only", "*-l[24]-*"]
    # The classifier is trained here, where its steps are few; workers are told of the data.
    assert main([*command, "--jobs", "1", "--only", "*-l2-*"]) == 0
    assert main([*command, "--jobs", "2"]) == 0
    output = capsys.readouterr().out
    assert "kuzushiji (idx files)" in output
    assert "paper" not in output.split("\n- ")[0]
    assert (tmp_path / "tables" / "table4-kuzushiji.tex").is_file()
    assert not (tmp_path / "tables" / "table4.tex").exists()
    assert main([*command, "--collect"]) == 0
    assert main(["--table", "4", *folders, "--plan", "--dataset", "idx:/nowhere"]) == 1
    assert "has no train-images" in capsys.readouterr().err.splitlines()[-1]
