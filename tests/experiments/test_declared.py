from dataclasses import replace
from math import sqrt

import pytest

from bench.data import dataset
from bench.errors import UsageError
from bench.experiments.figures import FIGURES
from bench.experiments.profiles import PROFILES
from bench.experiments.published import PUBLISHED
from bench.experiments.rank_methods import RANK_TABLES
from bench.experiments.spec import TrainingSpec
from bench.experiments.tables import PAPER_TABLES, TABLES, register_cell
from bench.models.methods import method
from bench.report.metrics import METRICS


def _runs(name: str) -> list[TrainingSpec]:
    return [cell.training for cell in TABLES[name].cells]


def test_a_place_of_a_table_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, table in TABLES.items():
        monkeypatch.setitem(TABLES, name, table)
    first = TABLES["table6"].cells[0]
    register_cell("table6", first)
    for other in (replace(first, called="other"), replace(first, training=_runs("table6")[1])):
        with pytest.raises(UsageError, match="has a column '32' already"):
            register_cell("table6", other)
    register_cell("table6", replace(first, row="Mine"))
    assert len(TABLES["table6"].cells) == 11
    assert TABLES["table6-samples"].cells == TABLES["table6"].cells
    assert len(TABLES["table5"].cells) == len(set(_runs("table5")))


def test_table_3_scales_the_weights_and_its_variant_the_variance() -> None:
    assert [run.init_scale for run in _runs("table3")] == [1.0, 2.0, 4.0]
    assert [run.init_scale for run in _runs("table3-variance")] == [1.0, sqrt(2), 2.0]
    assert {run.depth for run in _runs("table3")} == {8}


def test_table_4_varies_depth() -> None:
    assert [run.depth for run in _runs("table4")] == [2, 4, 8, 12]
    assert TABLES["table4"].varies == {"depth"}


def test_longer_runs_are_table_4s_and_the_ae_for_the_authors_number_of_epochs() -> None:
    assert [run.depth for run in _runs("table4-longer")] == [0, 2, 4, 8, 12]
    assert {run.epochs for run in _runs("table4-longer")} == {100}
    in_quick = PROFILES["quick"].apply
    assert {in_quick(run)[0].epochs for run in _runs("table4-longer")} == {14}
    assert {in_quick(run)[0].epochs for run in _runs("table4")} == {7}
    shorter = [replace(run, epochs=50) for run in _runs("table4-longer")]
    assert shorter == [_runs("section3")[0], *_runs("table4")]


def test_tables_share_runs() -> None:
    assert _runs("table3")[0] == _runs("table4")[2]
    assert _runs("table3")[1] == _runs("table3-variance")[2]
    assert len({*_runs("table3"), *_runs("table4")}) == 6


def test_table_5_changes_the_method_alone() -> None:
    runs = _runs("table5")
    assert TABLES["table5"].varies == {"method", "depth", "parameters", "beta"}
    methods = ["wae-mmd", "rae", "rae-l2", "rae-gp", "rae-sn", "irmae"]
    assert [run.method for run in runs] == methods
    original = _runs("table5-original")
    assert original[-1] == runs[-1]
    for run in original[:-1]:
        assert (run.architecture, run.latent_dim) == ("rae", 64)
        assert (run.learning_rate, run.batch_size, run.epochs) == (1e-3, 100, 70)


def test_table_6_varies_the_latent_dimension_of_irmae_and_ae() -> None:
    cells = {(cell.row, cell.label): cell.training for cell in TABLES["table6"].cells}
    assert len(cells) == 10
    for (row, label), run in cells.items():
        assert run.latent_dim == int(label)
        assert (run.method, run.depth) == {"AE": ("ae", 0)}.get(row, ("irmae", 4))
    assert TABLES["table6"].columns == ["32", "64", "128", "256", "512"]
    # Table 5's IRMAE is Table 6's 512: one run.
    assert _runs("table5")[-1] == cells["IRMAE (l = 4)", "512"]
    assert FIGURES["figure1"].table == "table6"


def test_settings_are_those_of_table_2() -> None:
    expected = {"shape": (32, 50_000, 10_000), "mnist": (128, 60_000, 10_000)}
    expected["celeba"] = (512, 162_770, 19_962)
    for name, table in TABLES.items():
        for cell in table.cells:
            run = cell.training
            if run.architecture != "table1" or table in RANK_TABLES:
                continue
            epochs = 100 if name == "table4-longer" else 50
            assert (run.learning_rate, run.batch_size, run.epochs) == (1e-4, 32, epochs), name
            latent_dim, train, test = expected[run.dataset]
            assert (run.train_images, dataset(run.dataset).test) == (train, test)
            assert run.latent_dim == latent_dim or name.startswith("table6")
            assert run.width == 1


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_every_printed_cell_is_published(name: str) -> None:
    table = TABLES[name]
    assert table.published == name
    places = {(name, metric, c.row, c.label) for metric in table.metrics for c in table.cells}
    printed = {key for key in PUBLISHED if key[0] == name}
    assert printed <= places
    for key in printed:
        assert PUBLISHED[key].value > 0
        assert f"Table {name[-1]}" in PUBLISHED[key].source
    # The supplement prints ranks for MNIST alone, and one RAE.
    metrics = ("rank", "fid") if name in ("table3", "table4") else ("fid",)
    columns = ["WAE", "RAE", "IRMAE"] if name == "table5" else table.columns
    rows = {cell.row for cell in table.cells}
    assert printed == {(name, m, row, c) for m in metrics for row in rows for c in columns}


def test_the_printed_numbers() -> None:
    def printed(table: str, metric: str, row: str = "") -> list[float]:
        return [p.value for key, p in PUBLISHED.items() if key[:3] == (table, metric, row)]

    assert printed("table3", "rank") == [8, 43, 66]
    assert printed("table3", "fid") == [37.4, 33.8, 49.0]
    assert printed("table4", "rank") == [70, 39, 8, 4]
    assert printed("table4", "fid") == [44.0, 30.1, 37.4, 62.6]
    assert printed("table5", "fid") == [53.7, 44.7, 42.0]
    assert printed("table6", "fid", "IRMAE (l = 4)") == [81.6, 64.6, 47.6, 42.7, 42.0]
    assert printed("table6", "fid", "AE") == [78.2, 60.1, 46.0, 45.4, 53.9]


def test_what_the_supplement_took_from_others_says_so() -> None:
    for column in ("WAE", "RAE"):
        assert "Ghosh" in PUBLISHED["table5", "fid", "", column].caveat
    assert not PUBLISHED["table5", "fid", "", "IRMAE"].caveat


def test_declarations_name_what_exists() -> None:
    for table in TABLES.values():
        assert set(table.metrics) <= set(METRICS)
        assert table.name.startswith(table.published)
        for profile in PROFILES.values():
            for cell in table.cells:
                data = dataset(profile.datasets.get(cell.training.dataset, cell.training.dataset))
                run, _ = profile.apply(replace(cell.training, dataset=data.name))
                assert data.network == dataset(cell.training.dataset).network
                assert method(run.method).name == run.method


@pytest.mark.parametrize("table", ["table4", "table6"])
def test_profiles_only_shrink(table: str) -> None:
    run = _runs(table)[0]
    (paper, most), (quick, some), (smoke, few) = (
        PROFILES[name].apply(run) for name in ("paper", "quick", "smoke")
    )
    assert paper == run
    assert most.test_images == dataset(run.dataset).test
    assert (most.fid_samples, most.test_images) > (some.fid_samples, some.test_images)
    assert (some.fid_samples, some.test_images) > (few.fid_samples, few.test_images)
    assert PROFILES["smoke"].datasets == {"mnist": "mnist-sample", "celeba": "shape-64"}
    assert smoke.steps < quick.steps < run.steps
    assert smoke.width <= quick.width <= run.width
    assert (quick.learning_rate, quick.batch_size) == (run.learning_rate, run.batch_size)
    assert (quick.latent_dim, smoke.latent_dim) == (run.latent_dim, run.latent_dim)


def test_profiles_widen_no_network() -> None:
    narrow = replace(TABLES["table6"].cells[0].training, width=1 / 32)
    widths = {name: PROFILES[name].apply(narrow)[0].width for name in PROFILES}
    assert widths == dict.fromkeys(("paper", "overnight", "quick"), 1 / 32) | {"smoke": 1 / 64}


def test_baselines_have_the_coefficients_of_their_authors_for_their_data() -> None:
    def parameters(table: str) -> dict[str, dict[str, float]]:
        return {c.label: dict(c.training.parameters) for c in TABLES[table].cells}

    faces, digits = parameters("table5"), parameters("mnist-baselines")
    assert (faces["WAE"]["penalty"], digits["WAE"]["penalty"]) == (100, 10)
    assert (faces["RAE"]["beta"], digits["RAE"]["beta"]) == (1e-4, 5e-4)
    assert (faces["RAE-SN"]["beta"], digits["RAE-SN"]["beta"]) == (2.4e-3, 9e-3)
    assert (faces["RAE-GP"]["gradient"], digits["RAE-GP"]["gradient"]) == (1e-7, 5e-8)
    assert faces["RAE-L2"]["decay"] == digits["RAE-L2"]["decay"] == 1e-7


def test_no_figure_has_the_name_of_a_table() -> None:
    assert not FIGURES.keys() & TABLES.keys()
