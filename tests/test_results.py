"""What is committed of runs, tables and documents belongs together."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

import pytest

from bench.campaign.runs import jobs_of, result_of
from bench.cli import main
from bench.errors import UsageError
from bench.experiments.profiles import PROFILES
from bench.experiments.rank_methods import LIKE_RANKS, RANK_METHODS
from bench.experiments.spec import ADDED, SAMPLERS, Cell, MeasurementSpec, TrainingSpec
from bench.report.display import Display
from bench.store import identity, records
from bench.store.folders import Store, read_spectra
from docs.embed import embed
from docs.embed import main as embed_main

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "reproduction.md"]
EXTRA = [
    "3-variance",
    "3-ranks",
    "4-ranks",
    "3-readings",
    "4-readings",
    "4-longer",
    "section3",
    "mnist-baselines",
    "shape",
    "rank-sweep",
    "rank-methods",
    "5-samples",
    "6-samples",
]


def test_documents_have_the_numbers_of_the_runs(committed: Path) -> None:
    assert embed_main([*map(str, DOCUMENTS), "--check", "--runs-dir", str(committed)]) == 0


def test_tables_are_those_of_the_runs(committed: Path, tmp_path: Path) -> None:
    arguments = [f"--table={name}" for name in ("all", *EXTRA)]
    folders = [f"--runs-dir={committed}", f"--tables-dir={tmp_path}"]
    assert main(["--collect", *arguments, *folders]) in (0, 4)
    rendered = sorted(path.name for path in tmp_path.iterdir())
    assert rendered == sorted(path.name for path in (ROOT / "tables").glob("[a-z]*.*"))
    for name in rendered:
        assert (tmp_path / name).read_bytes() == (ROOT / "tables" / name).read_bytes(), name


def test_runs_are_whole_and_small(committed: Path) -> None:
    store = Store(committed)
    folders = store.read()
    assert sum(path.stat().st_size for path in committed.glob("*/*.json*")) < 10_000_000
    for run_id, folder in folders.items():
        assert folder.damage == {}
        assert folder.trained is not None
        assert folder.measured
        spec = folder.trained.spec
        history = store.history(run_id).read_text().splitlines()
        assert json.loads(history[-1])["step"] == spec.steps
        spectra = read_spectra(folder.path)
        assert spectra is not None
        assert spectra.shape == (spec.epochs, spec.latent_dim)


def test_a_field_and_a_metric_that_come_later_leave_every_run_as_it_is(
    committed: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the identity and with the measurements that it has."""
    before = Store(committed).read()

    @dataclass(frozen=True)
    class Longer(TrainingSpec):
        betas: float = field(default=0.9, metadata=ADDED)

    @dataclass(frozen=True)
    class Wider(MeasurementSpec):
        neighbours: int = field(default=5, metadata=ADDED)

    monkeypatch.setattr(records, "TrainingSpec", Longer)
    monkeypatch.setattr(records, "MeasurementSpec", Wider)
    monkeypatch.setitem(identity.METRIC_VERSIONS, "kid", 1)
    after = Store(committed).read()
    assert after.keys() == before.keys()
    for run_id, folder in after.items():
        assert folder.damage == {}
        assert folder.trained is not None
        assert isinstance(folder.trained.spec, Longer)
        assert len(folder.measured) == len(before[run_id].measured) > 0
        assert all(isinstance(record.spec, Wider) for record in folder.measured)
        changed = replace(folder.trained.spec, betas=0.5)
        assert identity.run_id(changed, folder.trained.data.fingerprint) != run_id


def test_no_measured_fid_lies_below_that_of_real_images(committed: Path) -> None:
    for folder in Store(committed).read().values():
        for record in folder.measured:
            fids = record.metrics["fid"]
            for sampler in set(fids) & set(SAMPLERS):
                assert fids[sampler] > fids["real"], (folder.run_id, sampler)


def test_figures_are_there_whole_and_their_captions_are_those_of_the_runs(
    committed: Path, tmp_path: Path
) -> None:
    figures = ROOT / "figures"
    stems = [{p.stem for p in figures.glob(f"*.{e}")} for e in ("png", "pdf", "txt")]
    assert stems[0] == stems[1] == stems[2]
    assert all(path.stat().st_size > 100 for path in figures.iterdir())
    redrawn = ("figure1", "frontier", "ranks-depth", "spectra-variance", "curves-dimension")
    names = [f"--figure={name.removeprefix('figure')}" for name in redrawn]
    folders = [f"--runs-dir={committed}", f"--figures-dir={tmp_path}"]
    assert main(["--collect", *names, *folders]) == 0
    for name in redrawn:
        assert (tmp_path / f"{name}.txt").read_bytes() == (figures / f"{name}.txt").read_bytes()


def test_links_of_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [
        (document, target)
        for document in documents
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    ]
    assert {document.name for document, _ in links} >= {"README.md", "reproduction.md"}
    lost = [(doc.name, target) for doc, target in links if not (doc.parent / target).exists()]
    assert lost == []


def test_a_block_is_what_its_arguments_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "page.md"
    mark = "<!-- run_all.py --table 4 --profile smoke -->\n"
    before = f"before\n{mark}old\n<!-- end -->\nafter\n"
    document.write_text(before)
    golden = ROOT / "tests" / "report" / "golden" / "runs"
    command = [str(document), "--runs-dir", str(golden)]
    assert embed_main([*command, "--check"]) == 1
    assert document.read_text() == before
    assert "make docs" in capsys.readouterr().err
    assert embed_main(command) == 0
    table, claims = document.read_text().split("\n\n")
    assert table.startswith(f"before\n{mark}|")
    assert re.search(r"\| Latent rank +\| paper, not comparable ", table)
    assert claims.startswith("- Claim: ")
    assert claims.endswith("\n<!-- end -->\nafter\n")
    assert embed_main([*command, "--check"]) == 0
    assert "\n  - " in claims
    document.write_text(before.replace(" -->\nold", ", in brief -->\nold"))
    assert embed_main(command) == 0
    brief = document.read_text()
    assert brief.count("- Claim: ") == claims.count("- Claim: ")
    assert "\n  - " not in brief


def test_a_brief_block_has_no_differences(committed: Path) -> None:
    mark = "<!-- run_all.py --table 4 --profile paper{} -->\n<!-- end -->\n"
    whole, brief = (embed(mark.format(form), committed) for form in ("", ", in brief"))
    assert whole.count("| difference ") == 1
    left_out = [line for line in whole.splitlines() if line not in brief.splitlines()[1:]]
    assert all("| difference " in line or line.startswith("  - ") for line in left_out[1:])
    assert "| difference " not in brief


def test_a_block_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no table comes of it"):
        embed("<!-- run_all.py --figure 2 -->\n<!-- end -->", tmp_path)


def test_settings_are_chosen_by_the_rules(committed: Path) -> None:
    """Each method's value whose mean rank in the sweep is nearest to IRMAE's, as written down."""
    runs = Store(committed).read()
    ranks: dict[str, dict[float, float]] = {each.label: {} for each in RANK_METHODS}
    unlearned: set[tuple[str, float]] = set()
    for each in RANK_METHODS:
        for value in each.values:
            training, measurement = PROFILES["quick"].apply(each.at(value))
            cell = Cell("", training, measurements=(measurement,))
            found = [result_of(job, runs[job.run_id]) for job in jobs_of([cell], range(3))]
            three = [result for result in found if result]
            assert len(three) == 3, (each.label, value)
            ranks[each.label][value] = mean(map(Display().rank, three))
            if not all(map(Display().learned, three)):
                unlearned.add((each.label, value))

    def nearest(label: str, wanted: float, among: Collection[float] = ()) -> float:
        """Of two that are as near, the one of lower rank."""
        means = ranks[label]
        return min(
            among or means, key=lambda value: (round(abs(means[value] - wanted), 9), means[value])
        )

    depths = ranks.pop("IRMAE")
    for each in RANK_METHODS[1:]:
        by_rank = nearest(each.label, depths[8])
        assert each.chosen == (8 if each.label in ("RRAE", "AE", "PCA") else by_rank), each.label
    for depth, rank in depths.items():
        learned = {
            label: [value for value in means if (label, value) not in unlearned]
            for label, means in ranks.items()
        }
        near = {label: nearest(label, rank, learned[label]) for label in ranks}
        within = {
            label: value
            for label, value in near.items()
            if abs(ranks[label][value] - rank) <= max(1, 0.1 * rank)
        }
        assert LIKE_RANKS.get(int(depth), {}) == within
