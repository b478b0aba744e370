"""Methods and data sets from outside the package, as docs/extending.md shows them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from bench.cli import main
from bench.evaluation import extractors
from bench.experiments import tables as experiments
from bench.files import file_sha256
from bench.models import methods
from tests.support.tiny import TINY_ARGUMENTS

DOCS = Path(__file__).parent.parent.parent / "docs"
METHOD = (DOCS / "method_template.py").read_text()
EXTRACTOR = (DOCS / "extractor_template.py").read_text()
(DATASET,) = re.findall(r"```python\n(.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL)
STRIPES = """
import torch

from bench.data.images import LoadedData, Split


def load(dataset, data_dir):
    def split(count, seed):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 2, (count, 1), generator=generator)
        ramp = torch.arange(32) // 4 % 2 * 255
        image = ramp.expand(count, 1, 32, 32)
        turned = torch.where(labels[:, :, None, None] == 1, image, image.mT)
        return Split(turned.to(torch.uint8), labels)

    return LoadedData(split(128, 0), split(64, 1), "generated")
"""
COLUMN = """
from dataclasses import replace
from bench.experiments.tables import MNIST_AE, register_cell
from bench.experiments.spec import Cell
register_cell("mnist-baselines", Cell("Stripes", replace(MNIST_AE, dataset="stripes")))
"""


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    monkeypatch.setattr(methods, "_REGISTERED", {})
    monkeypatch.setattr(extractors, "_REGISTERED", {})
    tables = dict(experiments.TABLES)
    yield
    experiments.TABLES.clear()
    experiments.TABLES.update(tables)
    _forget_plugins()


def _forget_plugins() -> None:
    for name in [name for name in sys.modules if "irmae_bench_plugin" in name]:
        del sys.modules[name]


def _folders(tmp_path: Path, runs_dir: Path) -> list[str]:
    return ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_guides_method_is_trained_and_tabulated(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    plugin = tmp_path / "my_method.py"
    plugin.write_text(METHOD)
    command = ["--table", "mnist-baselines", "--plugin", str(plugin), *TINY_ARGUMENTS]
    command += [*_folders(tmp_path, runs_dir), "--set", "noise=0.3", "--jobs", jobs]
    # Two runs, so that two jobs are two processes, which must load the plugin too.
    command += ["--only", "*-*ae-d8-s0", "--set", "epochs=1"]
    assert main([*command, "--plan"]) == 0
    assert "mnist-sample-dae-d8-s0" in capsys.readouterr().out
    assert main(command) == 0
    table = (tmp_path / "tables" / "mnist-baselines.csv").read_text()
    assert ",DAE,,1," in table
    (record,) = runs_dir.glob("mnist-sample-dae-*/training.json")
    assert '"noise"' in record.read_text()


def test_the_guides_data_set_is_trained_on(
    tmp_path: Path, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    (tmp_path / "my_stripes.py").write_text(STRIPES)
    monkeypatch.syspath_prepend(tmp_path)
    plugin = tmp_path / "plugin.py"
    plugin.write_text(DATASET + COLUMN)
    command = ["--table", "mnist-baselines", "--plugin", str(plugin), *TINY_ARGUMENTS]
    command += [*_folders(tmp_path, runs_dir), "--only", "stripes-*", "--jobs", "1"]
    assert main(command) == 0
    assert len(list(runs_dir.glob("stripes-ae-d8-s0-*/measured-*.json"))) == 1


def test_the_guides_extractor_has_a_block_of_numbers(
    tmp_path: Path, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), tmp_path / "resnet18-f37072fd.pth")
    plugin = tmp_path / "my_extractor.py"
    command = ["--table", "4", *TINY_ARGUMENTS, *_folders(tmp_path, runs_dir), "--jobs", "1"]
    command += ["--only", "*-l2-*", "--set", "epochs=1", "--plugin", str(plugin)]
    command += ["--features", "resnet18", "--features", "classifier"]
    plugin.write_text(EXTRACTOR)
    assert main(command) == 1
    assert "not torchvision's weights" in capsys.readouterr().err
    (published,) = re.findall(r'SHA256 = "(.*)"', EXTRACTOR)
    plugin.write_text(EXTRACTOR.replace(published, file_sha256(tmp_path / "resnet18-f37072fd.pth")))
    _forget_plugins()
    extractors._REGISTERED.clear()
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "resnet18: ResNet-18 of ImageNet (512 features, weights" in output
    assert [name in output for name in ("FID (classifier)", "FID (resnet18)")] == [True, True]


def test_plugins_that_cannot_be_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = _folders(tmp_path, tmp_path)
    assert main(["--plan", "--plugin", str(tmp_path / "none.py"), *folders]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["--plan", "--plugin", "no_such_module", *folders]) == 2
    assert "No module named" in capsys.readouterr().err
    clash = tmp_path / "clash.py"
    clash.write_text(METHOD.replace('"dae"', '"vae"'))
    assert main(["--plan", "--plugin", str(clash), *folders]) == 2
    assert "exists already" in capsys.readouterr().err
