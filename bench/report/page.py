"""The report: claims, tables, figures and runs on one HTML page that needs nothing else."""

import itertools
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict, astuple
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench import __version__
from bench.experiments.spec import TrainingSpec
from bench.files import write_text
from bench.report.claims import judge
from bench.report.display import Display
from bench.report.figures.write import Drawn
from bench.report.frame import TableResults, frame
from bench.report.notes import notes, title
from bench.report.rows import rows
from bench.store.records import FailedRun, Result

Run = Result | FailedRun


def write_report(
    path: Path,
    contents: Sequence[TableResults],
    drawn: Sequence[Drawn],
    *,
    display: Display,
    left_out: Sequence[str] = (),
    others: Sequence[Run] = (),
) -> None:
    """Write the report, the same for the same runs: claims, tables and runs of its contents.

    ``left_out`` are tables and figures that it could show, had they been run; ``others`` runs that
    are in none of its tables, listed all the same.
    """
    environment = Environment(
        loader=PackageLoader("bench.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Hours, minutes and seconds: 2:39:38.
    environment.filters["duration"] = lambda seconds: str(timedelta(seconds=round(seconds)))
    environment.filters["commits"] = _commits
    runs = _runs(contents, others)
    shared, own = _settings([run.spec for run in runs])
    html = environment.get_template("page.html.j2").render(
        version=__version__,
        verdicts=[verdict for content in contents for verdict in judge(content)],
        tables=[_table(content) for content in contents],
        figures=[(each, b64encode(each.paths[1].read_bytes()).decode()) for each in drawn],
        runs=list(zip(runs, own, strict=True)),
        failed=sum(isinstance(run, FailedRun) for run in runs),
        shared=shared,
        display=display,
        left_out=left_out,
    )
    write_text(path, html)


def _table(content: TableResults) -> dict[str, Any]:
    """A table as it is printed elsewhere, its rows in groups of one label."""
    data = frame(content)
    printed = rows(content, data)
    grouped = itertools.groupby(printed, key=lambda row: row.label)
    return {
        "name": content.table.name,
        "title": title(content.table, content),
        "head": [content.table.axis, *content.table.columns],
        "groups": [(label, list(of_label)) for label, of_label in grouped],
        "notes": notes(content, data, printed),
    }


def _runs(contents: Sequence[TableResults], others: Sequence[Run]) -> list[Run]:
    """Every run once, ordered by what was trained; one that tables share is no two runs."""
    shown: list[Run] = [*others]
    for content in contents:
        shown += [*content.all_results, *itertools.chain(*content.failed.values())]
    once = {(run.run_id, type(run)): run for run in shown}
    return sorted(once.values(), key=lambda run: (astuple(run.spec), run.run_id))


def _settings(specs: Sequence[TrainingSpec]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings that all runs share, and those of each run that differ between them."""
    settings = [asdict(spec) | dict(spec.parameters) for spec in specs]
    for each in settings:
        del each["parameters"], each["seed"]
    shared = dict(set.intersection(*(set(each.items()) for each in settings))) if settings else {}
    own = [{name: each[name] for name in each if name not in shared} for each in settings]
    return {name: shared[name] for name in sorted(shared)}, own


def _commits(run: Result) -> str:
    """The commits that a run was trained at, of seven digits each, with ``+changes``."""
    found = [each["commit"] for each in (*run.trained.earlier, run.trained.provenance)]
    return ", ".join(dict.fromkeys(commit[:7] + commit[40:] for commit in found))
