"""Methods and data sets from outside the package, as docs/extending.md shows them."""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torchvision.models import resnet18

from bench.campaign.plugins import load_plugins
from bench.cli import main
from bench.data import dataset, register_dataset
from bench.errors import UsageError
from bench.evaluation.extractors import REGISTERED_EXTRACTORS, declared_extractor
from bench.experiments.columns import MNIST_AE
from bench.experiments.figures import register_figure
from bench.experiments.spec import Cell, FigureSpec
from bench.experiments.tables import register_cell
from bench.files import file_sha256
from bench.models.methods import method, register_method, source_of
from bench.store.folders import Store
from tests.support.results import content, results_in, write
from tests.support.tiny import TINY_ARGUMENTS

DOCS = Path(__file__).parent.parent.parent / "docs"
METHOD = (DOCS / "method_template.py").read_text()
EXTRACTOR = (DOCS / "extractor_template.py").read_text()
GUIDE = (DOCS / "extending.md").read_text()
DATASET, STRIPES, ROW = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
COLUMN = """
from dataclasses import replace
from bench.experiments.columns import MNIST_AE
from bench.experiments.tables import register_cell
from bench.experiments.spec import Cell
register_cell("mnist-baselines", Cell("Stripes", replace(MNIST_AE, dataset="stripes")))
"""

FAST = """
from bench.evaluation.extractors import register_extractor
from tests.support.corner import CORNER
register_extractor(CORNER)
"""


@pytest.fixture(autouse=True)
def plugins() -> Iterator[None]:
    """What a test loads is gone after it."""
    path = list(sys.path)
    yield
    load_plugins([])
    sys.path[:] = path


# Images that a large network looks at in a moment.
_FEW = ["--set", "fid_samples=4", "--set", "test_images=4", "--set", "train_images=16"]


def _folders(tmp_path: Path, runs_dir: Path) -> list[str]:
    return ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]


def test_the_guides_method_is_trained_on_own_data_by_workers_that_are_told_of_both(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "my_method.py"
    plugin.write_text(METHOD + FAST)
    command = ["--table", "mnist-baselines", "--plugin", str(plugin), *TINY_ARGUMENTS]
    shutil.copytree(dataset("mnist-sample").folder, tmp_path / "kuzushiji")
    command += [*_folders(tmp_path, runs_dir), "--dataset", f"idx:{tmp_path / 'kuzushiji'}"]
    # Two runs, so that two jobs are two processes.
    command += ["--only", "*-ae-d8-s0", "--only", "*-dae-d8-s0", "--jobs", "2"]
    command += ["--set", "noise=0.3", "--set", "epochs=1", "--extractor", "corner"]
    assert main([*command, "--plan"]) == 0
    assert "kuzushiji-dae-d8-s0" in capsys.readouterr().out
    assert main(command) == 0
    assert "kuzushiji (idx files)" in capsys.readouterr().out
    assert main([*command, "--collect"]) == 0
    table = (tmp_path / "tables" / "mnist-baselines-kuzushiji.csv").read_text()
    assert ",DAE,,1," in table
    (record,) = runs_dir.glob("kuzushiji-dae-*/training.json")
    assert '"noise"' in record.read_text()


def test_the_guides_data_set_is_trained_on(
    tmp_path: Path, runs_dir: Path, corner: list[str]
) -> None:
    """Its module lies beside the plugin, and nowhere else."""
    (tmp_path / "my_stripes.py").write_text(STRIPES)
    plugin = tmp_path / "plugin.py"
    plugin.write_text(DATASET + COLUMN)
    command = ["--table", "mnist-baselines", "--plugin", str(plugin), *TINY_ARGUMENTS]
    command += [*_folders(tmp_path, runs_dir), "--only", "stripes-*", "--jobs", "1", *corner]
    assert main(command) == 0
    assert len(list(runs_dir.glob("stripes-ae-d8-s0-*/measured-*.json"))) == 1


def test_the_guides_extractor_has_a_block_of_numbers(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), tmp_path / "resnet18-f37072fd.pth")
    plugin = tmp_path / "my_extractor.py"
    plain = ["--table", "4", *TINY_ARGUMENTS, *_folders(tmp_path, runs_dir), "--jobs", "1"]
    plain += ["--only", "*-l2-*", "--set", "epochs=1", *_FEW]
    command = [*plain, "--plugin", str(plugin), "--extractor", "resnet18"]
    plugin.write_text(EXTRACTOR)
    assert main(command) == 1
    assert "not torchvision's weights" in capsys.readouterr().err
    (published,) = re.findall(r'SHA256 = "(.*)"', EXTRACTOR)
    plugin.write_text(EXTRACTOR.replace(published, file_sha256(tmp_path / "resnet18-f37072fd.pth")))
    assert main(command) == 0
    plain[plain.index("--jobs") : plain.index("--only")] = []
    assert main([*plain, "--collect"]) == 4
    assert "measured through resnet18, not declared here, or changed" in capsys.readouterr().out
    assert main([*command, "--extractor", "classifier"]) == 0
    output = capsys.readouterr().out
    assert "resnet18: ResNet-18 of ImageNet (512 features, weights" in output
    assert [name in output for name in ("FID (classifier)", "FID (resnet18)")] == [True, True]


def test_plugins_that_cannot_be_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = _folders(tmp_path, tmp_path)
    assert main(["--plan", "--plugin", str(tmp_path / "none.py"), *folders]) == 2
    assert "no such file" in capsys.readouterr().err
    clash = tmp_path / "clash.py"
    clash.write_text(METHOD.replace('"dae"', '"vae"'))
    assert main(["--plan", "--plugin", str(clash), *folders]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_documented_row_and_figure_are_of_finished_runs(tmp_path: Path) -> None:
    (tmp_path / "my_row.py").write_text(ROW)
    folders = [f"--{name}-dir={tmp_path}" for name in ("runs", "tables", "figures")]
    write(
        Store(tmp_path),
        *content("table4", {"2": [8.0], "4": [4.0], "8": [2.0], "12": [1.0]}).all_results,
    )
    command = ["--collect", "--table", "4", "--figure", "errors-depth", "--profile", "paper"]
    assert main([*command, "--plugin", str(tmp_path / "my_row.py"), *folders]) == 0
    table = pd.read_csv(tmp_path / "table4.csv")
    # These results have a test error that is their training error.
    assert table[table.metric == "overfitting"]["mean"].tolist() == [1.0] * 4
    assert (tmp_path / "errors-depth.pdf").stat().st_size


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("x = 1\nimport no_such_package", 2, "ModuleNotFoundError: No module named"),
        ("x = 1\ny = (", 2, "SyntaxError: "),
        ("x = 1\n\nundefined", 3, "NameError: name 'undefined'"),
        ("import sys\nsys.exit(3)", 2, "SystemExit: 3"),
    ],
)
def test_a_plugins_own_error_names_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, line: int, message: str
) -> None:
    (tmp_path / "mine.py").write_text("import helper_of_mine\n")
    for name in ("mine.py", "helper_of_mine.py"):
        (tmp_path / name).write_text(code)
        command = ["--plan", "--plugin", str(tmp_path / "mine.py"), *_folders(tmp_path, tmp_path)]
        assert main(command) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert f"{tmp_path / name}, line {line}: {message}" in told
        (tmp_path / "mine.py").write_text("import helper_of_mine\n")


def test_a_row_of_no_metric_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "mine.py"
    imported = "from dataclasses import replace\nfrom bench.experiments.tables import *\n"
    claims = "tuple(replace(claim, metric='coverag') for claim in TABLES['table4'].claims)"
    for name, code in (
        ("table4", "register_row('table4', 'coverag')\n"),
        ("mine", f"TABLES['mine'] = replace(TABLES['table4'], name='mine', claims={claims})\n"),
    ):
        plugin.write_text(imported + code)
        assert main(["--plan", "--plugin", str(plugin), *_folders(tmp_path, tmp_path)]) == 2
        said = f"{name}: unknown metric 'coverag': did you mean coverage"
        assert said in capsys.readouterr().err


LOSS = """
def loss(model, images, noise, spec):
    return FACTOR * (model(images) - images).square().mean()
"""
SPLIT = """
from dataclasses import replace

from bench.experiments.spec import Cell
from bench.experiments.columns import MNIST_AE
from bench.experiments.tables import register_cell
from bench.models.methods import Method, register_method
from losses_of_mine import loss

register_method(Method("mine", "", loss))
register_cell("table4", Cell("mine", replace(MNIST_AE, method="mine")))
"""


def test_an_edited_plugin_is_another_run(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one process, too, and where a module beside the plugin is edited."""
    plugin, losses = tmp_path / "mine.py", tmp_path / "losses_of_mine.py"
    plugin.write_text(SPLIT)
    losses.write_text(LOSS.replace("FACTOR", "1"))
    command = ["--table", "4", "--plugin", str(plugin), *TINY_ARGUMENTS, "--jobs", "1"]
    command += [*_folders(tmp_path, runs_dir), "--only", "*-mine-*", "--set", "epochs=1"]
    assert main(command) == 0
    (first,) = results_in(runs_dir)
    assert first.trained.source
    losses.write_text(LOSS.replace("FACTOR", "9"))
    capsys.readouterr()
    assert main([*command, "--plan"]) == 0
    assert "0 done; 0 trained, to measure; 0 started; 1 to train" in capsys.readouterr().out
    assert main(command) == 0
    second = next(each for each in results_in(runs_dir) if each != first)
    assert second.trained.weights_sha256 != first.trained.weights_sha256
    assert second.trained.source != first.trained.source
    # What it was is known again.
    losses.write_text(LOSS.replace("FACTOR", "1"))
    assert main([*command, "--plan"]) == 0
    assert f"{first.run_id}  done" in capsys.readouterr().out
    # The records are whole without the plugin.
    assert main(["--status", "--runs-dir", str(runs_dir)]) == 0
    assert "2 measured" in capsys.readouterr().out


def test_an_edit_anywhere_below_a_plugin_is_another_run(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a dot, in a package around a module, in a data set's module; in one process."""
    plugin, package = tmp_path / "mine.py", tmp_path / "parts_of_mine"
    package.mkdir()
    plugin.write_text(
        SPLIT.replace("losses_of_mine", "parts_of_mine.losses")
        + DATASET.replace('"my_stripes"', '"parts_of_mine.stripes"')
        + COLUMN
    )
    files = {name: package / f"{name}.py" for name in ("__init__", "losses", "base", "stripes")}
    files["__init__"].write_text("")
    files["losses"].write_text("from .base import scale\n" + LOSS.replace("FACTOR", "scale()"))
    files["base"].write_text("def scale():\n    return 1\n")
    files["stripes"].write_text(STRIPES)

    def planned() -> set[str]:
        command = ["--table", "4", "--table", "mnist-baselines", "--plugin", str(plugin), "--plan"]
        command += [*TINY_ARGUMENTS, *_folders(tmp_path, runs_dir)]
        assert main([*command, "--only", "*-mine-*", "--only", "stripes-*"]) == 0
        return set(re.findall(r"(\S+-(?:mine|ae)-\S+) +to train", capsys.readouterr().out))

    before = planned()
    assert len(before) == 2, before
    for name, changes in (("base", 2), ("__init__", 2), ("stripes", 1), ("losses", 2)):
        with files[name].open("a") as file:
            file.write("# edited\n")
        assert len(planned() & before) == 2 - changes, name
        before = planned()


def test_a_run_that_its_method_ends_is_that_runs_failure(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "losses_of_mine.py").write_text("import sys\n\n\ndef loss(*_):\n    sys.exit(1)\n")
    (tmp_path / "mine.py").write_text(SPLIT)
    command = ["--table", "4", "--plugin", str(tmp_path / "mine.py"), *TINY_ARGUMENTS]
    command += [*_folders(tmp_path, runs_dir), "--set", "epochs=1", "--jobs", "1"]
    assert main([*command, "--only", "*-mine-*", "--only", "*-l2-*"]) == 4
    captured = capsys.readouterr()
    assert "mnist-sample-mine-d8-s0 FAILED: SystemExit: 1" in captured.err
    assert len(results_in(runs_dir)) == 1


@pytest.mark.parametrize("name", ["a/b", "..", "_a", "x" * 49, "", " a", "a\\b"])
def test_a_name_that_cannot_be_a_files_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="part of file names"):
        register_method(replace(method("ae"), name=name))
    with pytest.raises(UsageError, match="part of file names"):
        register_dataset(replace(dataset("shape"), name=name))
    with pytest.raises(UsageError, match="part of file names"):
        register_cell("table4", Cell(name, MNIST_AE))
    with pytest.raises(UsageError, match="part of file names"):
        register_figure(FigureSpec(name, "", "table4", "spectra"))


def test_an_edited_plugins_extractor_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(REGISTERED_EXTRACTORS, "corner", raising=False)
    plugin, seen = tmp_path / "mine.py", set()
    for code in (FAST, f"{FAST}# edited\n"):
        plugin.write_text(code)
        load_plugins([str(plugin)])
        seen.add(declared_extractor("corner", dataset("mnist")).identity)
    assert len(seen) == 2


def test_an_edit_in_a_package_that_a_plugin_imports_counts(tmp_path: Path) -> None:
    """Also where the package imports its module by a name that no source shows."""
    plugin, package, seen = tmp_path / "mine.py", tmp_path / "parts_of_mine", set()
    package.mkdir()
    plugin.write_text(METHOD + "\nimport parts_of_mine\n")
    (package / "__init__.py").write_text(
        "import importlib\n\nimportlib.import_module(__name__ + '.hid' + 'den')\n"
    )
    for code in ("", "# edited\n"):
        (package / "hidden.py").write_text(code)
        load_plugins([str(plugin)])
        seen.add(source_of("dae"))
    assert len(seen) == 2


def test_a_file_that_is_edited_while_it_is_loaded_is_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    (tmp_path / "beside_mine.py").write_text("")
    plugin.write_text(
        "import pathlib\n\nimport beside_mine\n\n"
        "pathlib.Path(beside_mine.__file__).write_text('# edited')\n"
    )
    with pytest.raises(UsageError, match="was edited while it was loaded"):
        load_plugins([str(plugin)])
