import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import cli
from bench.campaign import commands, worker
from bench.campaign.choose import Chosen
from bench.campaign.job import WorkerSettings
from bench.campaign.request import Request
from bench.cli import main
from bench.data import download as downloading
from bench.errors import BenchError
from bench.evaluation.extractors import REGISTERED_EXTRACTORS, inception_weights
from bench.experiments.profiles import PROFILES
from bench.experiments.spec import Cell
from bench.experiments.tables import TABLES
from bench.store import identity
from bench.store.folders import Runs, Store
from bench.store.records import FailedRun
from bench.training import checkpoint
from tests.support.corner import CORNER
from tests.support.results import result, results_in, write
from tests.support.tiny import TINY_ARGUMENTS


@pytest.fixture
def folders(runs_dir: Path, tmp_path: Path) -> list[str]:
    return ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]


def _cell(table: str, profile: str, extractor: str, index: int, seed: int = 0) -> Cell:
    """A cell of a declared table at a profile's size."""
    cell, limits = TABLES[table].cells[index], PROFILES[profile]
    name = cell.training.dataset
    run = replace(cell.training, dataset=limits.datasets.get(name, name), seed=seed)
    training, measurement = limits.apply(run)
    measurements = (replace(measurement, extractor=extractor),)
    return replace(cell, training=training, measurements=measurements)


def _fill(
    store: Store,
    table: str,
    profile: str,
    extractor: str,
    *,
    rank: int,
    seed: int = 0,
    columns: Collection[str] = (),
) -> None:
    """Write a run of every cell, or of some columns' cells."""
    for index in range(len(TABLES[table].cells)):
        cell = _cell(table, profile, extractor, index, seed)
        if columns and cell.label not in columns:
            continue
        write(store, result(cell.training, cell.measurement, rank=rank))


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
        (["--table", "mnist-baselines", "--set", "beta=0.3"], "mnist-baselines varies it"),
        (["--seeds", "three"], "--seeds: must be a whole number of at least 1, not 'three'"),
        (["--jobs", "0"], "--jobs: must be a whole number of at least 1, not '0'"),
        (["--rank-threshold", "much"], "must be a number between 0 and 1, not 'much'"),
        (["--device", "tpu"], "--device takes"),
        (["--plan", "--collect"], "--collect does not go with --plan"),
        (["--only", "nothing*", "--plan"], "matches none of mnist-irmae-d128-l8-s0"),
        (["--only", "*-l8-*", "--only", "*-l9-*", "--plan"], "--only '*-l9-*' matches none of"),
        (["--plan", "--set", "precision=fp16"], "unknown precision 'fp16'"),
        (["--name", "faces"], "--name goes with --dataset"),
        (["--weights-of", "mnist-*"], "--weights-of goes with --gc"),
        (["--extractor", "classifier", "--fid-weights", "w.pth"], "--fid-weights goes with"),
        (["--export", "all.csv", "--only", "*-l8-*"], "--only does not go with --export"),
        (["--gc", "--table", "4"], "--table does not go with --gc"),
        (
            ["--export", "all.csv", "--extractor", "imagenet"],
            "--extractor does not go with --export",
        ),
        (["--verify", "a", "--stop-after", "9"], "--stop-after does not go with --verify"),
        (["--scheduler", "tcp://a:1", "--jobs", "2"], "--jobs does not go with --scheduler"),
        (["--table", "rank-methods", "--set", "directions=5"], "rank-methods varies it"),
        (["--plan", "--set", "latent_dim=0"], "latent_dim must be at least 1"),
        (["--tab", "4"], "unrecognized"),
        (["--device", "cuda:\N{SUPERSCRIPT TWO}"], "--device takes"),
        (["--report", "."], "name a file, such as report.html"),
        (["--claims", "--plan"], "--claims does not go with --plan"),
        (["--status", "--profile", "paper"], "--profile does not go with --status"),
        (["--export", "all.csv", "--download"], "--download does not go with --export"),
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
    assert "4 to train" in capsys.readouterr().out

    assert main(command) == 0
    output = capsys.readouterr()
    assert "FID by classifier" in output.err
    assert [line[:5] for line in output.err.splitlines() if line.startswith("[")] == [
        f"[{i}/4]" for i in range(1, 5)
    ]
    for word in (
        "one seed",
        "classifier of mnist that the suite ships",
        "gmm10",
        "smoke, latent_dim=8",
    ):
        assert word in output.out
    for ending in ("tex", "md", "csv"):
        assert (tmp_path / "tables" / f"table4.{ending}").is_file()
    for folder in runs_dir.glob("mnist*"):
        names = {re.sub(r"-[0-9a-f]{8}", "", path.name) for path in folder.iterdir()}
        trained = {
            *("spec.json", "history.jsonl", "spectra.npz", "training.json"),
            *("weights.pt", "checkpoint.pt"),
        }
        assert names == trained | {"measured.json", "measured.npz"}

    assert main([*command, "--plan"]) == 0
    assert (
        "4 done; 0 trained, to measure; 0 started; 0 to train; 0 failed" in capsys.readouterr().out
    )
    before = (tmp_path / "tables" / "table4.csv").read_bytes()
    assert main([*command, "--collect"]) == 0
    assert (tmp_path / "tables" / "table4.csv").read_bytes() == before
    # Another sampler is another column of the same records.
    assert main([*command, "--collect", "--sampler", "mvg"]) == 0
    assert b"mvg" in (tmp_path / "tables" / "table4.csv").read_bytes()


def test_a_diverging_run_is_recorded_and_the_table_still_written(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l[24]-*"]
    assert main([*command, "--set", "lr=1e30"]) == 4
    output = capsys.readouterr()
    assert "FAILED: NonFiniteLossError" in output.err
    assert "Traceback" not in output.err
    assert "| -- |" in output.out.replace("  ", "")
    assert "became infinite or not a number" in output.out
    failures = list(runs_dir.glob("*/failure.json"))
    assert len(failures) == 2
    assert "Traceback" in failures[0].read_text()
    # Failed runs stay as they are until they are asked for.
    assert main([*command, "--set", "lr=1e30"]) == 4
    assert "FAILED" not in capsys.readouterr().err
    assert main([*command, "--set", "lr=1e30", "--plan"]) == 0
    assert "0 to train; 2 failed" in capsys.readouterr().out
    assert main([*command, "--set", "lr=1e30", "--retry-failed"]) == 4
    assert capsys.readouterr().err.count("FAILED") == 2


def test_force_runs_anew(folders: list[str], runs_dir: Path) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l2-*"]
    assert main(command) == 0
    (path,) = runs_dir.glob("mnist*/training.json")
    (first,), stamp = results_in(runs_dir), path.stat().st_mtime_ns
    assert main(command) == 0
    assert path.stat().st_mtime_ns == stamp
    # From an archive of a machine whose clock is ahead.
    for each in path.parent.iterdir():
        os.utime(each, (time.time() + 86_400,) * 2)
    assert main([*command, "--force"]) == 0
    assert path.stat().st_mtime_ns != stamp
    (second,) = results_in(runs_dir)
    assert first.metrics == second.metrics
    assert first.trained.weights_sha256 == second.trained.weights_sha256


def test_figures_that_start_no_run_are_of_what_is_here_when_forced(
    folders: list[str], runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def render(request: Request, chosen: Sequence[Chosen], runs: Runs) -> int:
        seen.append(set(runs))
        return 0

    write(Store(runs_dir), result())
    monkeypatch.setattr(commands, "render", render)
    assert main(["--figure", "all", "--force", *folders]) == 0
    assert seen == [{result().run_id}]


def test_a_run_that_is_forced_stays_until_it_is_begun(
    folders: list[str], runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where data are missing, or time is up, what was there is still there."""
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l2-*"]
    assert main(command) == 0
    before = {path: path.read_bytes() for path in runs_dir.glob("mnist*/*")}

    def missing(*_: object) -> None:
        raise BenchError("no MNIST in reach")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "fetch", missing)
        assert main([*command, "--force"]) == 1
    with monkeypatch.context() as patch:
        patch.setattr(WorkerSettings, "is_over", lambda _: True)
        assert main([*command, "--force", "--stop-after", "60"]) == 3
    assert {path: path.read_bytes() for path in runs_dir.glob("mnist*/*")} == before


def _never(*_: object, **__: object) -> None:
    raise AssertionError("trained")


@pytest.mark.parametrize(
    "change",
    [
        ["--set", "fid_samples=30"],
        ["--set", "test_images=40"],
        ["--extractor", "corner"],
        ["version"],
    ],
)
def test_what_is_measured_otherwise_is_measured_anew_and_never_trained(
    folders: list[str],
    runs_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
) -> None:
    monkeypatch.setitem(REGISTERED_EXTRACTORS, "corner", CORNER)
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l2-*"]
    assert main(command) == 0
    (before,) = results_in(runs_dir)
    monkeypatch.setattr(worker, "train", _never)
    if change == ["version"]:
        monkeypatch.setitem(identity.METRIC_VERSIONS, "fid", 3)
    else:
        command += change
    capsys.readouterr()
    assert main([*command, "--plan"]) == 0
    assert "1 trained, to measure; 0 started; 0 to train" in capsys.readouterr().out
    assert main(command) == 0
    found = [(r, m) for r in results_in(runs_dir) for m in r.measurements]
    ((after, record),) = [pair for pair in found if pair[1] not in before.measurements]
    assert after.trained == before.trained
    assert record.metrics["train_mse"] == before.metrics["train_mse"]
    assert record.versions == identity.other_versions()
    assert main([*command, "--plan"]) == 0
    assert "1 done" in capsys.readouterr().out


def test_runs_without_weights_are_named_and_trained_again_where_training_is_asked_for(
    folders: list[str], runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l2-*"]
    assert main(command) == 0
    (path,) = runs_dir.glob("mnist*/weights.pt")
    path.unlink()
    other = [*command, "--set", "fid_samples=30"]
    capsys.readouterr()
    for mode in ("--plan", "--collect"):
        main([*other, mode])
        assert not path.exists()
    output = capsys.readouterr().out
    assert f"trained, but without weights here to measure: {path.parent.name}; training them" in (
        output
    )
    assert "trained, but not measured, and its weights are not here" in output
    assert main(other) == 0
    assert "without weights here to measure" in capsys.readouterr().err
    assert path.exists()
    assert len(results_in(runs_dir)) == 2


def test_the_runs_folder_is_read_once_a_command(
    folders: list[str], runs_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _fill(Store(runs_dir), "table4", "smoke", "classifier", rank=3)
    read: list[Path] = []
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    outputs = ["--claims", "--report", str(tmp_path / "report.html")]
    for mode in (["--collect", *outputs], ["--profile", "smoke"], ["--plan"]):
        read.clear()
        assert main(["--table", "4", *folders, *mode]) == 0
        records = [path for path in read if path.suffix == ".json" and path.parent != runs_dir]
        assert len([path for path in records if path.name == "training.json"]) == 4
        assert len(records) == len(set(records))


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_rank_is_read_by_the_threshold_of_the_day(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path, seeds: int
) -> None:
    """Number, footnote and verdict change together, from the same measurements."""
    store = Store(runs_dir)
    for seed in range(seeds):
        for index in range(4):
            cell = _cell("table4", "smoke", "classifier", index, seed)
            made = result(cell.training, cell.measurement)
            # Above 1e-3, as many as claimed: 8, 6, 4, 2; above 1e-2, the same five of each.
            count = 8 - 2 * index
            made.metrics["spectrum"][:] = [1.0] * min(5, count) + [5e-3] * max(0, count - 5)
            made.metrics["spectrum"] += [1e-9] * (128 - count)
            write(store, made)
    command = ["--table", "4", "--collect", *folders]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert re.search(r"Latent rank +\| measured .*\b8\b.*\b6\b.*\b4\b.*\b2\b", output)
    assert "above 0.001 of the largest" in output
    assert ("falls with depth: holds" in output) == (seeds == 3)
    assert main([*command, "--rank-threshold", "1e-2"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"Latent rank +\| measured .*\b5\b.*\b5\b.*\b4\b.*\b2\b", output)
    assert "above 0.01 of the largest" in output
    assert "falls with depth: holds" not in output


def test_collect_never_trains_and_says_what_is_missing(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    store = Store(runs_dir)
    _fill(store, "table4", "smoke", "classifier", rank=5)
    spec = _cell("table4", "smoke", "classifier", 3).training
    (run_id,) = [run for run in store.read() if run.startswith(spec.name)]
    store.forget(run_id, before=math.inf)
    assert main(["--table", "4", "--collect", *folders]) == 4
    output = capsys.readouterr().out
    assert f"-- Depth l 12: {spec.name} not run" in output
    rows = [
        line.split("|")
        for line in output.splitlines()
        if re.match(r"\| [\w ()]+\| (measured|gmm10) ", line)
    ]
    assert [row[-2].strip() for row in rows] == ["--", "--", "--"]
    store.write_failure(FailedRun(run_id, spec, "out of memory", ""))
    assert main(["--table", "4", "--collect", *folders]) == 4
    assert "failed (out of memory)" in capsys.readouterr().out
    # A run that was not asked for is not missed.
    assert main(["--table", "4", "--collect", *folders, "--only", "*-l[248]-*"]) == 0


def test_an_extractor_that_is_named_is_shown_alone(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    for extractor in ("classifier", "imagenet"):
        _fill(Store(runs_dir), "table4", "paper", extractor, rank=3)
    for named, shown in (([], [True, True]), (["--extractor", "classifier"], [False, True])):
        assert main(["--table", "4", "--collect", *folders, *named]) == 0
        output = capsys.readouterr().out
        assert [name in output for name in ("FID (imagenet)", "FID (classifier)")] == shown


@pytest.mark.parametrize("module", ["bench", "bench.cli"])
def test_the_package_is_a_command(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "--status", "--runs-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("0 runs in ")


def test_a_command_that_trains_nothing_says_whose_numbers_it_prints(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    for seed in range(2):
        _fill(Store(runs_dir), "table4", "smoke", "classifier", rank=4, seed=seed)
    assert main(["--table", "4", "--profile", "smoke", *folders]) == 0
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "trained" in each]
    assert line == (
        f"nothing trained: 8 runs read from {runs_dir} (trained 1970-01-01, commit unknown); "
        "another --runs-dir trains runs of your own"
    )


def test_seeds_that_are_cached_are_tabulated(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    for seed, rank in enumerate((4, 5, 9)):
        _fill(Store(runs_dir), "table4", "smoke", "classifier", rank=rank, seed=seed)
    assert main(["--table", "4", "--collect", *folders]) == 0
    # By hand: mean 6, deviation sqrt(7), 4.3027 * sqrt(7 / 3) = 6.57.
    assert "6.0 \N{PLUS-MINUS SIGN} 6.6" in capsys.readouterr().out
    assert main(["--table", "4", "--collect", *folders, "--seeds", "1"]) == 0
    assert re.search(r"Latent rank +\| measured +\| +4 \|", capsys.readouterr().out)
    assert main(["--table", "4", "--collect", *folders, "--seeds", "4"]) == 4


def test_a_damaged_record_is_reported_by_collect(
    folders: list[str], capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    _fill(Store(runs_dir), "table4", "smoke", "classifier", rank=4)
    path = next(runs_dir.glob("*-l2-*/training.json"))
    path.write_text(path.read_text()[:-30])
    assert main(["--table", "4", "--collect", *folders]) == 4
    output = capsys.readouterr().out
    assert str(path) in output
    assert "truncated" in output


def test_inception_is_fetched_only_where_it_is_asked_for_by_name(
    folders: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    attempts = []

    def refuse(url: str, target: Path, sha256: str) -> None:
        attempts.append(url)
        raise BenchError("host: no answer within 8 s")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(downloading, "fetch", refuse)
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--jobs", "1", "--only", "*-l2-*"]
    command += ["--set", "fid_samples=4", "--set", "test_images=4", "--set", "train_images=16"]
    assert main([*command, "--extractor", "auto"]) == 0
    assert "FID by imagenet (weights 57934424)" in capsys.readouterr().err
    assert attempts == []
    assert main([*command, "--extractor", "inception"]) == 1
    (attempt,) = attempts
    assert inception_weights.NAME in attempt
    assert "no answer within 8 s" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--fid-weights", str(tmp_path / "none.pth")]) == 1
    assert "no such file" in capsys.readouterr().err.splitlines()[-1]


def test_a_size_that_one_profile_lacks_is_shown_in_another(
    folders: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["--table", "4", "--plan", "--set", "train_images=10000", *folders]
    assert main([*command, "--data-dir", str(tmp_path), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith(
        "profile quick (8,192 training images, 7 epochs), train_images=10000 on cpu\n"
    )


def test_a_figure_that_is_named_beside_all_is_trained_for(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--figure", "all", "--figure", "1", "--profile", "smoke", "--plan", *folders]
    assert main(command) == 0
    assert "; 10 to train;" in capsys.readouterr().out
    assert main(["--figure", "all", "--only", "mnist-*", "--profile", "smoke", *folders]) == 0


def test_claims_alone_leave_tables_that_nothing_is_of(folders: list[str], tmp_path: Path) -> None:
    table = tmp_path / "tables" / "table4.md"
    table.parent.mkdir()
    table.write_text("good")
    assert main(["--claims", *folders]) == 1
    assert table.read_text() == "good"


def test_an_unexpected_error_is_one_line_without_debug(
    folders: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Store, "read", broken)
    assert main(["--plan", *folders]) == 1
    assert "unexpected ZeroDivisionError: a bug (see --debug)" in _error(capsys)
    assert main(["--plan", "--debug", *folders]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--collect"], "interrupted"),
        (["--gc"], "interrupted"),
        (["--claims"], "interrupted"),
        (
            ["--claims", "--table", "4"],
            "interrupted; the same command goes on from the checkpoints",
        ),
        (
            ["--table", "4", "--runs-dir", "export"],
            "interrupted; the same command goes on from the checkpoints",
        ),
    ],
)
def test_an_interrupted_command_speaks_of_checkpoints_where_it_trains(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    said: str,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "carry_out", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err == f"{said}\n"


def test_in_a_thread_and_without_a_trace_in_the_process(tmp_path: Path) -> None:
    """A notebook runs cells in threads, and has its own way to end."""
    before = signal.getsignal(signal.SIGTERM)
    command = ["--table", "4", "--plan", "--runs-dir", str(tmp_path)]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, command).result() == 0
    assert main(command) == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "setting",
    ["batch_size=1", "batch_size=5000", "latent_dim=1", "latent_dim=600", "init_scale=0.001"],
)
def test_extreme_settings_come_to_an_end(setting: str, folders: list[str]) -> None:
    command = ["--table", "4", "--only", "*-l2-*", *TINY_ARGUMENTS, *folders, "--jobs", "1"]
    # Of two that set the same, the later one counts.
    assert main([*command, "--set", "epochs=1", "--set", setting]) == 0


def test_a_thousand_seeds_are_planned(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--table", "4", "--plan", "--seeds", "1000", *folders]) == 0
    assert "4000 to train" in capsys.readouterr().out


def test_a_command_that_has_no_time_left_goes_on_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends at the first checkpoint, with status 3, and begins no other run."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_STEPS", {"cpu": 100})
    command = ["--table", "4", *TINY_ARGUMENTS, "--set", "epochs=30", "--jobs", "1"]
    command += ["--only", "*-l2-*", "--only", "*-l4-*"]

    def run(folder: str, *more: str) -> int:
        folders = [f"--{name}-dir={tmp_path / folder / name}" for name in ("runs", "tables")]
        return main([*command, *folders, *more])

    assert run("straight") == 0
    store = Store(tmp_path / "stopped" / "runs")
    with monkeypatch.context() as patch:
        patch.setattr(WorkerSettings, "is_over", lambda _: any(store.root.glob("*/checkpoint.pt")))
        assert run("stopped", "--stop-after", "60") == 3
    assert "the same command goes on" in capsys.readouterr().err
    (stopped,) = [each for each in store.read().values() if each.has_checkpoint]
    assert store.steps_done(stopped.run_id) == 100
    assert stopped.trained is None
    assert len(list(store.root.glob("*/checkpoint.pt"))) == 1
    assert run("stopped", "--stop-after", "60") == 0
    straight = Store(tmp_path / "straight" / "runs").read()
    for run_id, folder in store.read().items():
        expected = straight[run_id].trained
        assert folder.trained is not None
        assert expected is not None
        assert folder.trained.weights_sha256 == expected.weights_sha256
