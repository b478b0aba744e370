"""Machines that people have: their screens, pipes, quotas, homes and settings of Matplotlib."""

import errno
import multiprocessing.synchronize
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.evaluation.extractors import inception_weights
from bench.experiments.figures import FIGURES
from bench.machine import core_count
from bench.report.figures.write import write_figure
from tests.support.results import content, everywhere
from tests.support.tiny import TINY_ARGUMENTS

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "report" / "golden" / "runs"
ENDINGS = (".csv", ".md", ".tex")


def _command(folder: Path, *arguments: str) -> list[str]:
    folders = [f"--{name}-dir={folder / name}" for name in ("tables", "figures")]
    table = ["--collect", "--table", "4", "--table", "3", "--profile", "smoke"]
    return [sys.executable, str(ROOT / "run_all.py"), *table, *folders, *arguments]


def _collect(
    folder: Path, *arguments: str, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    runs = () if "--runs-dir" in arguments else ("--runs-dir", str(GOLDEN))
    return subprocess.run(
        _command(folder, *runs, *arguments),
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_a_screen_without_some_characters_shows_the_rest(tmp_path: Path, encoding: str) -> None:
    done = _collect(tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert (" +- " if encoding == "ascii" else " \N{PLUS-MINUS SIGN} ") in done.stdout
    for name in ("table3", "table4"):
        text = (tmp_path / "tables" / f"{name}.md").read_text(encoding="utf-8")
        assert "\N{PLUS-MINUS SIGN}" in text


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_streams_that_are_closed_stop_nothing(tmp_path: Path, closed: str) -> None:
    command = [*_command(tmp_path, "--runs-dir", str(GOLDEN))]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *command], stdout=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "tables" / "table4.md").is_file()


@pytest.mark.parametrize("both", [True, False])
def test_a_closed_pipe_costs_no_file_and_no_message(tmp_path: Path, both: bool) -> None:
    """As with ``| head -1``, or ``2>&1 | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        _command(tmp_path, "--runs-dir", str(GOLDEN), "--claims"),
        stdout=writer,
        stderr=writer if both else subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 0
    written = {path.name for path in (tmp_path / "tables").iterdir()}
    assert written == {f"table{number}{ending}" for number in (3, 4) for ending in ENDINGS}
    if not both:
        lines = done.stderr.decode().splitlines()
        assert [line.partition(":")[0] for line in lines] == ["written"]


def test_a_run_goes_on_when_nobody_reads_of_it(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("tables", "runs")]
    command = [sys.executable, str(ROOT / "run_all.py"), "--table", "4", "--only", "*-l2-*"]
    done = subprocess.run(
        [*command, *TINY_ARGUMENTS, *folders, "--jobs", "1"],
        stdout=writer,
        stderr=writer,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 0
    assert len(list((tmp_path / "runs").glob("*/measured-*.json"))) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_the_screen_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = _collect(tmp_path, stdout=full.fileno())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "cannot write the output: No space left on device; free some space" in line
    assert len(list((tmp_path / "tables").iterdir())) == 6


@pytest.mark.parametrize(
    ("option", "message"),
    [("file", "choose a"), ("x" * 300, "choose a shorter name")],
)
@pytest.mark.parametrize("which", ["runs", "tables"])
def test_folders_that_cannot_be_are_one_line(
    tmp_path: Path, option: str, message: str, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    command = ["--collect", "--table", "4", f"--{which}-dir", str(tmp_path / option)]
    more = ["--runs-dir", str(GOLDEN)] if which == "tables" else []
    assert main([*command, *more]) == (2 if option == "file" else 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert "unexpected" not in line
    assert message in line


def test_a_user_without_a_home_can_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that is run under a number that has no user."""

    def nobody(number: int) -> None:
        raise KeyError(number)

    for variable in ("HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    command = ["--table", "4", "--runs-dir", str(tmp_path)]
    assert main(["--plan", "--profile", "paper", *command]) == 0
    assert "4 to train" in capsys.readouterr().out
    with pytest.raises(BenchError, match="set HOME or TORCH_HOME"):
        inception_weights.fetch()
    assert main([*command, "--plan", "--dataset", "images:~/pictures"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "give the whole path" in line


def test_a_quota_of_cores_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert core_count() == 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_job_needs_no_worker_process(
    jobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where /dev/shm cannot be written."""

    def no_room(*arguments: object, **named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", no_room)
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("tables", "runs")]
    command = ["--table", "4", "--only", "*-l[24]-*", *TINY_ARGUMENTS, *folders]
    status = main([*command, "--set", "epochs=1", "--jobs", jobs])
    lines = capsys.readouterr().err.splitlines()
    if jobs == "1":
        assert status == 0
    else:
        assert status == 1
        assert "2 worker processes cannot be started" in lines[-1]
        assert "use --jobs 1" in lines[-1]


def test_figures_are_drawn_in_the_suites_own_style(tmp_path: Path) -> None:
    """Whatever a notebook's environment and the user's own settings say."""
    settings = tmp_path / "matplotlibrc"
    lines = ("text.usetex: True", "savefig.transparent: True", "figure.facecolor: red")
    settings.write_text("\n".join([*lines, "axes.facecolor: green", "lines.linewidth: 9"]))
    backend = "module://matplotlib_inline.backend_inline"
    done = _collect(
        tmp_path,
        *("--figure", "spectra-depth"),
        MPLBACKEND=backend,
        MATPLOTLIBRC=str(settings),
    )
    assert done.returncode == 0, done.stderr
    plain = _collect(tmp_path / "plain", "--figure", "spectra-depth")
    assert plain.returncode == 0, plain.stderr
    for ending in ("png", "pdf"):
        name = f"figures/spectra-depth.{ending}"
        assert (tmp_path / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_rc_settings_of_the_process_come_back(tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"lines.linewidth": 7}):
        made = content("table4", everywhere("table4", [3]))
        drawn = write_figure(FIGURES["spectra-depth"], made, tmp_path)
        assert drawn is not None
        assert mpl.rcParams["lines.linewidth"] == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "train_images=100000"], "train_images=100,000, but mnist has 60,000"),
        (["--set", "test_images=20000"], "test_images=20,000, but mnist has 10,000"),
        (["--fid-weights", "missing.pth"], "--fid-weights missing.pth: no such file"),
        (["--extractor", "inception", "--fid-weights", "missing.pth"], "no such file"),
        (["--device", "cuda:99"], "PyTorch finds"),
        (["--dataset", "idx:/nowhere"], "there is no folder /nowhere"),
    ],
)
def test_a_plan_refuses_what_the_run_would(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--plan", "--table", "4", "--profile", "paper", "--runs-dir", str(tmp_path)]
    assert main([*command, *arguments]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
