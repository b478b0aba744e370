"""The report: claims, tables, figures and runs on one page that needs nothing beside itself."""

from __future__ import annotations

import base64
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import nan
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from bench import __version__
from bench.experiments.spec import TrainingSpec
from bench.files import write_text
from bench.report.claims import judge
from bench.report.figures.gallery import tile
from bench.report.figures.lines import SMALLEST_SHARE
from bench.report.figures.write import Drawn
from bench.report.frame import Content, frame
from bench.report.layout import Note, Text, notes, rows, title
from bench.report.page.charts import HEIGHT, LEFT, RIGHT, WIDTH, Chart, chart
from bench.report.reading import Reading
from bench.store.folders import Store, read_history
from bench.store.records import FailedRun, Result

# Bytes of a figure that is compressed in the page.
_LARGE = 500_000
# Rows and columns of a run's samples.
_GRID = 10


def write_report(
    path: Path,
    contents: Sequence[Content],
    judged: Sequence[Content],
    drawn: Sequence[Drawn],
    store: Store,
    *,
    left_out: Sequence[str] = (),
    others: Sequence[Result | FailedRun] = (),
) -> None:
    """Write the report, the same for the same runs.

    Args:
        path: the HTML file.
        contents: its tables.
        judged: what the claims are judged by and whose runs are listed: the tables, and the columns
            that a figure draws in another profile.
        drawn: its figures.
        store: where the runs' arrays and histories are.
        left_out: tables and figures that it could show, had they been run.
        others: runs that are in none of its tables, listed all the same.
    """
    # Tables share runs.
    runs = {}
    failed = {}
    for content in judged:
        for result in content.all_results:
            if result.run_id not in runs:
                runs[result.run_id] = _run(result, content.reading, store)
        for run in itertools.chain(*content.failed.values()):
            failed[run.run_id] = (run, _settings(run.spec))
    reading = contents[0].reading if contents else Reading()
    for other in others:
        if isinstance(other, Result):
            runs[other.run_id] = _run(other, reading, store)
        else:
            failed[other.run_id] = (other, _settings(other.spec))
    environment = Environment(
        loader=PackageLoader("bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html.j2").render(
        version=__version__,
        verdicts=[(content, verdict) for content in judged for verdict in judge(content)],
        tables=[_table(content) for content in contents],
        figures=[(each, _figure(each.paths[-1])) for each in drawn],
        runs=list(runs.values()),
        failed=list(failed.values()),
        left_out=left_out,
        others=[other.run_id for other in others],
        chart_width=WIDTH,
        chart_left=LEFT,
        chart_right=WIDTH - RIGHT,
        chart_height=HEIGHT,
    )
    write_text(path, html)


@dataclass(frozen=True)
class _Line:
    """One cell of a table: where it stands, its numbers, the runs behind it."""

    row: str
    column: str
    cells: Sequence[Text]
    runs: Sequence[tuple[str, int]]
    failed: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class _Table:
    """A table turned on its side, so that it can be sorted by any of its numbers.

    Attributes:
        name: its name, an anchor.
        label: its name as people say it.
        title: its heading.
        axis: what its lines vary.
        has_rows: whether lines have two labels.
        groups: metrics, each with the number of its columns.
        kinds: headings of the columns below them.
        lines: its lines.
        notes: what must be said of its numbers.
    """

    name: str
    label: str
    title: str
    axis: str
    has_rows: bool
    groups: Sequence[tuple[str, int]]
    kinds: Sequence[str]
    lines: Sequence[_Line]
    notes: Sequence[Note]


def _table(content: Content) -> _Table:
    table, data = content.table, frame(content)
    printed = {(row.metric, row.kind, row.line): row.cells for row in rows(content, data)}
    heads = list(dict.fromkeys((metric, kind) for metric, kind, _ in printed))
    lines = []
    for cell in table.cells:
        place = table.columns.index(cell.label)
        found = [printed.get((*head, cell.row)) for head in heads]
        lines.append(
            _Line(
                row=cell.row,
                column=cell.label,
                # A row of the table may lack a kind of number that others have.
                cells=[cells[place] if cells else Text("", nan) for cells in found],
                runs=[(r.run_id, r.spec.seed) for r in content.results.get(cell, ())],
                failed=[(f.run_id, f.spec.seed) for f in content.failed.get(cell, ())],
            )
        )
    return _Table(
        name=table.name,
        label=re.sub(r"^table(?=\d)", "Table ", table.name),
        title=title(content),
        axis=table.axis,
        has_rows=any(cell.row for cell in table.cells),
        groups=[(m, len(list(g))) for m, g in itertools.groupby(m for m, _ in heads)],
        kinds=[kind for _, kind in heads],
        lines=lines,
        notes=notes(content, data),
    )


@dataclass(frozen=True)
class _Run:
    """A finished run.

    Attributes:
        run_id: its identity, an anchor.
        extractors: names of the networks that it was measured through.
        learned: whether it has learned, see :class:`bench.report.reading.Reading`.
        numbers: what the list of runs shows of it: heading, text and number.
        facts: everything that its record says, by heading.
        charts: its training curve and its spectrum, as far as they are cached.
        samples: some samples as a data URI, compressed; empty where they are not cached.
    """

    run_id: str
    extractors: str
    learned: bool
    numbers: Sequence[tuple[str, str, float]]
    facts: Mapping[str, Mapping[str, str]]
    charts: Sequence[Chart]
    samples: str


def _run(result: Result, reading: Reading, store: Store) -> _Run:
    metrics, trained = result.metrics, result.trained
    rank = reading.rank(result)
    numbers = [
        ("Rank", f"{rank}", rank),
        ("Test MSE", f"{metrics['test_mse']:.5f}", metrics["test_mse"]),
        ("Training, s", f"{trained.timing['seconds']:,.0f}", trained.timing["seconds"]),
        (
            "Images/s",
            f"{trained.timing['images_per_second']:,.0f}",
            trained.timing["images_per_second"],
        ),
    ]
    return _Run(
        run_id=result.run_id,
        extractors=", ".join(result.extractors),
        learned=reading.learned(result),
        numbers=numbers,
        facts={
            **{
                f"Measured through {record.spec.features}": {
                    name: _text(value) for name, value in record.numbers()
                }
                for record in result.measurements
            },
            "Trained": _settings(result.spec),
            **{
                f"Measuring through {record.spec.features}": _texts(asdict(record.spec))
                | {f"extractor {name}": _text(value) for name, value in record.extractor.items()}
                | {f"measured in {name}": value for name, value in _timing(record.timing).items()}
                | _texts(record.provenance)
                for record in result.measurements
            },
            "Data": {
                "name": trained.data.name,
                "description": trained.data.description,
                "fingerprint": trained.data.fingerprint,
            },
            "Time of training": _timing(trained.timing),
            "Provenance of weights": _texts(trained.provenance),
            **{
                f"Provenance of weights, from step {each['from_step']:,}": _texts(each)
                for each in trained.earlier
            },
        },
        charts=list(_charts(result, rank, store)),
        samples=_samples(store.images(result, "samples").get("samples")),
    )


def _charts(result: Result, rank: int, store: Store) -> Iterator[Chart]:
    history = read_history(store.history(result.run_id))
    curve = chart(
        "Training loss", "epoch", [r["epoch"] for r in history], [r["loss"] for r in history]
    )
    values = result.metrics["spectrum"]
    largest = max(values)
    shares = [value / largest for value in values] if largest > 0 else []
    spectrum = chart(
        f"Singular values over the largest; a dot marks the rank, {rank}",
        "index",
        range(1, len(shares) + 1),
        [share if share > SMALLEST_SHARE else 0 for share in shares],
        rank - 1,
    )
    yield from (each for each in (curve, spectrum) if each is not None)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}


def _settings(spec: TrainingSpec) -> dict[str, str]:
    """A spec's fields, and its method's own parameters among them."""
    fields = asdict(spec)
    return {name: _text(value) for name, value in (fields | dict(fields.pop("parameters"))).items()}


def _timing(timing: Mapping[str, float]) -> dict[str, str]:
    finished = f"{datetime.fromtimestamp(timing['finished'], UTC):%Y-%m-%d %H:%M} UTC"
    return _texts(timing) | {"finished": finished}


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _figure(path: Path) -> str:
    """A figure as a data URI: as it is, or compressed where it is large, which images are."""
    content = path.read_bytes()
    if len(content) < _LARGE:
        return _uri("png", content)
    with Image.open(path) as image:
        return _compressed(image, quality=90)


def _samples(samples: np.ndarray | None) -> str:
    """The first samples as a data URI; empty where there are none."""
    if samples is None or len(samples) < _GRID**2:
        return ""
    grid = tile(samples[: _GRID**2].reshape(_GRID, _GRID, *samples.shape[1:]))
    return _compressed(Image.fromarray(grid.squeeze(axis=2) if grid.shape[2] == 1 else grid), 80)


def _compressed(image: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    image.convert("L" if image.mode == "L" else "RGB").save(buffer, "JPEG", quality=quality)
    return _uri("jpeg", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
