import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from PIL import Image

from bench.cli import main
from bench.experiments.figures import FIGURES
from bench.experiments.tables import TABLES
from bench.models import methods
from bench.report.display import Display
from bench.report.figures import frontier, sweep
from bench.report.figures import lines as run_lines
from bench.report.figures.style import styles
from bench.report.figures.write import write_figure
from bench.report.frame import TableResults
from bench.report.statistics import interval
from bench.store.folders import write_spectra
from tests.support.results import NOWHERE, everywhere
from tests.support.results import content as content_of

FIGURE = FIGURES["figure1"]


def _content(extractor: str, more: Sequence[int], runs_dir: Path = NOWHERE) -> TableResults:
    """Table 6 with FIDs of so much more than 100 in IRMAE's columns, than 200 in the AE's."""
    values = {
        cell.name: [(100 if cell.training.depth else 200) + each for each in more]
        for cell in TABLES["table6"].cells
    }
    return content_of("table6", values, extractor=extractor, runs_dir=runs_dir)


def _draw(content: TableResults) -> Figure:
    return sweep.draw(FIGURE, content)


def _curves(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): list(line.get_ydata()) for line in axes.get_lines()}  # type: ignore[arg-type]


def test_figure_1_has_the_measured_and_the_printed_curves_for_every_sampler() -> None:
    panels = _draw(_content("inception", [0, 2])).axes
    assert [axes.get_ylabel() for axes in panels] == [
        f"FID ({name}, inception)" for name in ("gmm10", "gmm4", "mvg")
    ]
    axes = panels[0]
    curves = _curves(axes)
    assert curves["IRMAE (l = 4), measured"] == pytest.approx([math.sqrt(100 * 102)] * 5)
    assert curves["AE, measured"] == pytest.approx([math.sqrt(200 * 202)] * 5)
    assert curves["IRMAE (l = 4), paper"] == [81.6, 64.6, 47.6, 42.7, 42.0]
    assert curves["AE, paper"] == [78.2, 60.1, 46.0, 45.4, 53.9]
    # So far below the curves that a line would flatten them.
    assert curves["real images, below: 0.250"] == []
    dashed = {line.get_label(): line.get_linestyle() for line in axes.get_lines()}
    assert dashed["AE, paper"] == "--"
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["32", "64", "128", "256", "512"]
    # Two seeds: t(0.975, 1) = 12.706 times half the ratio's logarithm.
    shade = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
    ends = math.sqrt(1.02) ** 12.706
    assert shade.max() == pytest.approx(math.sqrt(10200) * ends, rel=1e-3)
    assert shade.min() == pytest.approx(math.sqrt(10200) / ends, rel=1e-3)


def test_numbers_of_another_scale_have_an_axis_of_their_own() -> None:
    axes = _draw(_content("imagenet", [0])).axes
    assert len(axes) == 6
    measured, printed = axes[0], axes[3]
    assert set(_curves(measured)) == {"IRMAE (l = 4), measured", "AE, measured", "real images"}
    assert set(_curves(printed)) == {"IRMAE (l = 4), paper", "AE, paper"}
    assert "another scale" in printed.get_ylabel()


def test_the_caption_says_what_the_numbers_are() -> None:
    text = str(_draw(_content("imagenet", [0])).get_label())
    for words in (
        "Seeds a point: 1",
        "EfficientNet-Lite0",
        "gmm10",
        "19,962 test",
    ):
        assert words in text


def test_columns_that_are_no_numbers_are_named_and_not_drawn() -> None:
    made = _content("inception", [0, 1])
    last = made.table.cells[-1]
    named = replace(
        made, table=replace(made.table, cells=(*made.table.cells, replace(last, label="VAE")))
    )
    page = _draw(named)
    assert "Not on the axis: VAE." in str(page.get_label())
    assert _curves(page.axes[0]) == _curves(_draw(made).axes[0])


def test_the_papers_curves_alone_are_no_figure(tmp_path: Path) -> None:
    made = _content("inception", [1])
    of_a_prior = replace(made, display=replace(made.display, samplers=("prior",)))
    unseen = replace(made, display=replace(made.display, extractors=("imagenet",)))
    for content in (_content("inception", []), of_a_prior, unseen):
        assert write_figure(FIGURE, content, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_files_are_the_same_twice_and_not_blank(tmp_path: Path) -> None:
    content = _content("inception", [0, 1])
    first, second = (write_figure(FIGURE, content, tmp_path / name) for name in "ab")
    assert first is not None
    assert second is not None
    assert [path.name for path in first.paths] == ["figure1.pdf", "figure1.png", "figure1.txt"]
    for a, b in zip(first.paths, second.paths, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert first.paths[0].read_bytes().startswith(b"%PDF")
    with Image.open(first.paths[1]) as image:
        assert len(np.unique(np.asarray(image.convert("RGB")))) > 50
    title, blank, *notes = first.paths[2].read_text().splitlines()
    assert (title, blank) == (first.title, "")
    assert tuple(notes) == first.notes
    assert title.endswith("Figure 1 of the supplement")
    assert any("Profile paper" in note for note in notes)


def test_methods_are_told_apart_in_grey_too() -> None:
    looks = styles([*methods._OWN, "a-plugins-own", "anothers", "a-plugins-own"])
    assert len({(s["marker"], s["linestyle"]) for s in looks.values()}) == len(methods._OWN) + 2
    red, green, blue = 0.299, 0.587, 0.114
    greys = [np.dot(to_rgb(looks[n]["color"]), (red, green, blue)) for n in ("irmae", "ae")]
    assert abs(greys[0] - greys[1]) > 0.2
    assert looks["a-plugins-own"]["color"] == looks["anothers"]["color"] == "#000000"


SPECTRA, CURVES = FIGURES["spectra-dimension"], FIGURES["curves-dimension"]


@pytest.fixture
def filled(tmp_path: Path) -> TableResults:
    """Table 6 with spectra that fall tenfold, and histories of every run but one."""
    content = _content("inception", [0, 1], tmp_path)
    for each in content.all_results:
        each.metrics["spectrum"][:] = [8.0 * 10.0**-i for i in range(each.spec.latent_dim)]
        if each.spec.name == "celeba-ae-d32-s1":
            continue
        each.folder.mkdir()
        lines = [json.dumps({"epoch": e, "loss": 1 / (1 + e), "step": e}) for e in range(4)]
        (each.folder / "history.jsonl").write_text("\n".join(lines) + "\n" + '{"half')
    return content


def test_spectra_are_shares_of_the_largest_with_the_rank_marked(
    filled: TableResults,
) -> None:
    page = run_lines.draw_spectra(SPECTRA, filled)
    irmae, ae = page.axes
    assert (irmae.get_title(), ae.get_title()) == ("IRMAE (l = 4)", "AE")
    lines = [line for line in irmae.get_lines() if line.get_linewidth() == 1.2]
    assert len(lines) == 5 * 2
    for line, size in zip(lines, np.repeat([32, 64, 128, 256, 512], 2), strict=True):
        x, y = line.get_xydata().T  # type: ignore[union-attr]
        assert list(x) == list(range(1, size + 1))
        np.testing.assert_allclose(y[:200], 10.0 ** -np.arange(min(size, 200)))
    # The fourth value is a thousandth of the first, and so not above the threshold.
    dots = [line.get_xydata() for line in irmae.get_lines() if line.get_marker() == "o"]
    assert np.allclose(np.concatenate(dots), [3, 1e-2])
    legend = irmae.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["32", "64", "128", "256", "512"]
    text = " ".join(str(page.get_label()).split())
    assert "its dashes the seed (seeds that are 6 apart share them). Seeds: 0, 1." in text


def test_curves_are_the_histories(filled: TableResults) -> None:
    page = run_lines.draw_curves(CURVES, filled)
    irmae, ae = page.axes
    assert len(irmae.get_lines()) == 10
    assert len(ae.get_lines()) == 9
    text = " ".join(str(page.get_label()).split())
    assert "Nothing to draw is cached of celeba-ae-d32-s1-" in text
    assert "Seeds: 0, 1 (IRMAE (l = 4), AE 64, AE 128, AE 256, AE 512); 0 (AE 32)." in text
    for line in ae.get_lines():
        assert list(line.get_xdata()) == [0, 1, 2, 3]  # type: ignore[arg-type]
        assert list(line.get_ydata()) == [1, 1 / 2, 1 / 3, 1 / 4]  # type: ignore[arg-type]
    # Shades from dark to light: the order of the columns shows without colour.
    shades = {line.get_color(): None for line in irmae.get_lines()}
    lightness = [np.dot(to_rgb(str(c)), (0.299, 0.587, 0.114)) for c in shades]
    assert lightness == sorted(lightness)


def test_ranks_are_those_of_the_spectra_of_every_epoch(filled: TableResults) -> None:
    for each in filled.all_results[:3]:
        spectra = [
            [10.0**-i if i <= epoch else 0.0 for i in range(each.spec.latent_dim)]
            for epoch in range(6)
        ]
        write_spectra(each.folder, np.array(spectra))
    page = run_lines.draw_ranks(FIGURES["ranks-dimension"], filled)
    lines = page.axes[0].get_lines()
    assert len(lines) == 3
    for line in lines:
        assert list(line.get_xdata()) == [1, 2, 3, 4, 5, 6]  # type: ignore[arg-type]
        # A thousandth of the largest is not above the threshold.
        assert list(line.get_ydata()) == [1, 2, 3, 3, 3, 3]  # type: ignore[arg-type]
    text = " ".join(str(page.get_label()).split())
    assert "above 0.001 of the largest, of the codes of 32 test images" in text
    assert "IRMAE (l = 4) 32: +0.0, IRMAE (l = 4) 64: +0.0." in text
    other = replace(filled, display=Display(rank_threshold=1e-2))
    line, *_ = run_lines.draw_ranks(FIGURES["ranks-dimension"], other).axes[0].get_lines()
    assert list(line.get_ydata()) == [1, 2, 2, 2, 2, 2]  # type: ignore[arg-type]


def test_the_figure_of_ranks_says_how_they_moved_and_when_they_were_as_printed(
    tmp_path: Path,
) -> None:
    content = content_of("table4", {"2": [70, 71], "4": [40], "8": [8]}, runs_dir=tmp_path)
    (deepest,) = [each for each in content.all_results if each.spec.depth == 8]
    for each in content.all_results:
        # One value more every epoch, or two; at l = 8 there are too few epochs.
        epochs = 4 if each is deepest else 50
        rise = 1 if each.spec.depth == 2 and each.spec.seed == 0 else 2
        spectra = [
            [1.0] * (1 + rise * epoch) + [0.0] * (127 - rise * epoch) for epoch in range(epochs)
        ]
        write_spectra(each.folder, np.array(spectra))
    page = run_lines.draw_ranks(FIGURES["ranks-depth"], content)
    text = " ".join(str(page.get_label()).split())
    assert (
        "Mean change of the rank over the last fifth of the epochs: Depth l 2: +15.0, 4: +20.0."
        in text
    )
    # Of 70, 39 and 8: within 7, 3.9 and 2. At l = 2 the mean is 1 + 1.5 times the epochs before.
    assert (
        "within the margin of the printed rank, whatever its interval: Depth l 2: 43 to 50, "
        "4: 19 to 21, 8: 4." in text
    )


def test_printed_ranks_are_marked_where_they_can_be_compared(tmp_path: Path) -> None:
    content = content_of("table4", {"2": [70], "4": [40], "12": [4]}, runs_dir=tmp_path)
    for each in content.all_results:
        write_spectra(each.folder, np.ones((50, each.spec.latent_dim)))
    for made, printed in (
        (content, [70, 39, 4]),
        (replace(content, profile="quick"), []),
    ):
        page = run_lines.draw_ranks(FIGURES["ranks-depth"], made)
        (axes,) = page.axes
        grey = [line for line in axes.get_lines() if line.get_color() == "#888888"]
        assert [line.get_ydata()[0] for line in grey] == printed  # type: ignore[index]
        # Ten per cent, or two.
        margins = [max(0.1 * number, 2) for number in printed]
        bands = [patch.get_extents().ymax for patch in axes.patches]
        ends = [number + margin for number, margin in zip(printed, margins, strict=True)]
        assert bands == pytest.approx([axes.transData.transform((0, end))[1] for end in ends])
        text = str(page.get_label())
        assert ("the ranks that the paper prints" in text) == bool(printed)
        assert ("within the margin of the printed rank" in text) == bool(printed)


def test_numbers_of_logarithmic_axes_are_no_formulae(filled: TableResults) -> None:
    """Mathematics is off in figures: a formula would show as it is typed."""
    for page in (run_lines.draw_spectra(SPECTRA, filled), run_lines.draw_curves(CURVES, filled)):
        page.canvas.draw()
        labels = [
            label.get_text()
            for axes in page.axes
            for label in (*axes.get_xticklabels(), *axes.get_yticklabels(which="both"))
        ]
        assert "1" in labels
        assert not [label for label in labels if "$" in label]


@pytest.mark.parametrize("name", FIGURES)
def test_of_nothing_no_figure_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    folders = [a for n in ("runs", "figures") for a in (f"--{n}-dir", str(tmp_path / n))]
    command = ["--collect", "--figure", name, "--profile", "smoke", *folders]
    assert main(command) == 4
    said = f"left out, since no run or kept image here can be shown: {name}\n"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()


def test_the_frontier_has_a_line_for_each_method_and_a_point_for_each_setting() -> None:
    values = {name: [40.0 - i, 42.0 - i] for i, name in enumerate(everywhere("rank-sweep", []))}
    made = content_of("rank-sweep", values, extractor="imagenet")
    page = frontier.draw(FIGURES["frontier"], made)
    assert [axes.get_ylabel() for axes in page.axes] == ["FID (gmm10, imagenet)", "Test MSE"]
    for axes in page.axes:
        labels = axes.get_legend_handles_labels()[1]
        assert labels == list(dict.fromkeys(cell.row for cell in made.table.cells))
        lines = [line for line in axes.get_lines() if len(np.atleast_1d(line.get_xdata())) == 4]
        # Ranks are the values' whole parts; FIDs and errors are the values.
        assert np.asarray(lines[0].get_xdata()).tolist() == [41, 40, 39, 38]
        first = [math.sqrt((40 - i) * (42 - i)) for i in range(4)]
        assert np.asarray(lines[0].get_ydata()).tolist() == pytest.approx(first)
    alone = {name: fids for name, fids in values.items() if name.startswith("IRMAE ")}
    made = content_of("rank-sweep", alone, extractor="imagenet")
    assert not any(axes.has_data() for axes in frontier.draw(FIGURES["frontier"], made).axes)
    (legend,) = page.legends
    assert legend.get_texts()[0].get_text() == "IRMAE (depth 2, 4, 8, 12)"
    page.draw_without_rendering()
    labels = [
        label.get_text() for axes in page.axes for label in axes.get_yticklabels(which="both")
    ]
    assert any(labels)
    assert not any("$" in label for label in labels)
    assert "Means over 2 seeds" in str(page.get_label())


def test_a_point_of_the_frontier_has_the_intervals_of_three_seeds() -> None:
    fids = [40.0, 44.0, 43.0]
    made = content_of("rank-sweep", everywhere("rank-sweep", fids))
    (bars, *_) = frontier.draw(FIGURES["frontier"], made).axes[0].containers
    assert isinstance(bars, ErrorbarContainer)
    wide, high = bars.lines[2]
    of_ranks, of_fids = interval(fids), interval(fids, logarithmic=True)
    for arms, axis, expected in ((wide, 0, of_ranks), (high, 1, of_fids)):
        ends = arms.get_segments()[0][:, axis].tolist()
        assert ends == pytest.approx([expected.low, expected.high])
