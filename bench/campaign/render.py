"""Write what was asked for from finished runs: tables, figures, claims, the report."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.campaign.plan import job_of, measurements_of
from bench.campaign.request import Request
from bench.campaign.resolve import Resolved, matches
from bench.campaign.runs import Runs
from bench.experiments.spec import Cell, TableSpec
from bench.experiments.tables import TABLES
from bench.screen import say, show
from bench.store.folders import RunFolder, Store
from bench.store.records import FailedRun, Result

if TYPE_CHECKING:
    from bench.report.figures.write import Drawn
    from bench.report.frame import Content


def render(request: Request, parts: Sequence[Resolved], runs: Runs, store: Store) -> int:
    """Write the tables and figures, and whatever else was asked for of them.

    Args:
        request: what was asked for.
        parts: the tables and figures, each part with the choices that were made for it.
        runs: every finished run.
        store: where their arrays and histories are.

    Returns:
        The exit status: 1 where a table or figure, or something of one, is missing.
    """
    from bench.report.claims import judge
    from bench.report.markdown import claims_markdown
    from bench.report.table_files import write_table

    tables = {
        name: _content(request, part, table, runs)
        for part in parts
        for name, table in part.tables.items()
    }
    figures = {
        name: (figure, _content(request, part, table, runs))
        for part in parts
        for name, (figure, table) in part.figures.items()
    }
    written: list[Path] = []
    printed: list[str] = []
    for content in tables.values():
        text, paths = write_table(content, request.tables_dir)
        printed.append(text)
        written += paths
    # A table that is not asked for is shown by the part of it that a figure draws.
    known = {figure.table: content for figure, content in figures.values()} | tables
    contents = [known[name] for name in TABLES if name in known]
    # The columns that a figure draws may be whole in another profile than the table is shown in.
    parts_drawn = {(figure.table, content.profile): content for figure, content in figures.values()}
    by_profile = parts_drawn | {(name, each.profile): each for name, each in tables.items()}
    judged = [content for name in TABLES for (of, _), content in by_profile.items() if of == name]
    if request.claims:
        printed.append(claims_markdown([v for content in judged for v in judge(content)]))
    drawn: dict[str, Drawn] = {}
    if figures:
        # Matplotlib takes a second to import, and does not import at all where a notebook has set
        # a backend that is not installed here.
        os.environ["MPLBACKEND"] = "agg"
        from bench.report.figures.write import write_figure

        for name, (figure, content) in figures.items():
            optional = name in request.optional
            done = write_figure(figure, content, store, request.figures_dir, optional=optional)
            if done is not None:
                drawn[name] = done
                written += done.paths
    if request.worker.tensorboard:
        from bench.store.events import write_missing

        of_cells = (found for content in judged for found in content.results.values())
        write_missing(list(itertools.chain(*of_cells)), store)
    left_out = [name for name in request.optional if name not in tables and name not in drawn]
    if request.report is not None:
        from bench.report.page.page import write_report

        others = list(_others(judged, runs)) if request.everything else []
        write_report(
            request.report,
            contents,
            judged,
            list(drawn.values()),
            store,
            left_out=left_out,
            others=others,
        )
        written.append(request.report)
    # Only after the files are written, so that a closed screen costs none of them.
    for text in printed:
        show(text)
    if left_out:
        say(f"left out, since nothing of them is cached: {', '.join(left_out)}")
    say(f"written: {', '.join(map(str, written))}")
    asked = len(request.tables) + len(request.figures)
    complete = asked == len(tables) + len(drawn) + len(left_out)
    shown = [*tables.values(), *(figures[name][1] for name in drawn)]
    whole = not any(content.missing for content in shown)
    return 0 if complete and whole else 1


def _others(contents: Sequence[Content], runs: Runs) -> Iterator[Result | FailedRun]:
    """What is cached and in no table: with other settings, on data of the user's own, failed."""
    shown = {result.run_id for content in contents for result in content.all_results}
    shown |= {
        run.run_id for content in contents for run in itertools.chain(*content.failed.values())
    }
    for folder in runs.folders.values():
        if folder.run_id in shown:
            continue
        if folder.trained and folder.measured:
            latest = max(folder.measured, key=lambda record: record.timing["finished"])
            yield Result(folder.trained, measurements_of(folder, latest.spec) or (latest,))
        elif folder.failure:
            yield folder.failure


def _content(request: Request, part: Resolved, table: TableSpec, runs: Runs) -> Content:
    from bench.report.frame import Content

    done = {cell: runs.of(cell, request.seeds) for cell in table.cells}
    failed = {
        cell: [
            run
            for run in runs.failed(cell, request.seeds)
            if matches(request.only, job_of(cell, run.spec.seed))
        ]
        for cell in table.cells
    }
    missing = []
    for cell in table.cells:
        place = f"{cell.row}, {table.axis}" if cell.row else table.axis
        reasons = [f"{run.spec.name} failed ({run.reason})" for run in failed[cell]]
        # Collecting takes the seeds that are there.
        if request.mode != "collect" or request.seeds is not None or not done[cell]:
            reasons += _not_run(request, cell, [*done[cell], *failed[cell]], runs)
        missing += [f"{place} {cell.label}: {reason}" for reason in reasons]
    profile = ", ".join([part.profile.name, *(f"{k}={v}" for k, v in request.overrides.items())])
    return Content(table, done, missing, request.reading, profile, failed)


def _not_run(
    request: Request, cell: Cell, ended: Sequence[Result | FailedRun], runs: Runs
) -> Iterator[str]:
    """Which of a cell's runs were asked for and have come to no end."""
    run_ids = {run.run_id for run in ended}
    for job in (job_of(cell, seed) for seed in range(request.seeds or 1)):
        if job.run_id in run_ids or not matches(request.only, job):
            continue
        folder = runs.folders.get(job.run_id)
        yield f"{job.training.name} {_why_not(folder)}"


def _why_not(folder: RunFolder | None) -> str:
    if folder is not None and folder.damage:
        return str(folder.damage[0])
    if folder is None or folder.trained is None:
        started = folder is not None and folder.has_checkpoint
        return "not trained to its end" if started else "not run"
    weights = "" if folder.has_weights else ", and its weights are not here"
    return f"trained, but not measured{weights}"
