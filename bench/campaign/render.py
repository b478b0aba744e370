"""Write what was asked for from finished runs: tables, figures, claims, the report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.campaign.choose import Chosen
from bench.campaign.request import Request
from bench.campaign.runs import (
    every_result,
    failure_of,
    jobs_of,
    missing_of,
    result_of,
    seeds_shown,
)
from bench.evaluation.extractors import expected_identity
from bench.experiments.spec import Cell
from bench.experiments.tables import TABLES
from bench.screen import say, show
from bench.store.folders import RunFolder, Runs
from bench.store.records import FailedRun, Result

if TYPE_CHECKING:
    from bench.report.figures.write import Drawn
    from bench.report.frame import TableResults


# Exit status where something that was asked for by name could not be shown whole.
INCOMPLETE = 4


def render(request: Request, chosen: Sequence[Chosen], runs: Runs) -> int:
    """Write the tables and figures, and whatever else was asked for of them.

    The exit status is 0, or :data:`INCOMPLETE` where a table or figure, or part of one, is missing.
    """
    from bench.report.claims import judge
    from bench.report.markdown import claims_markdown
    from bench.report.table_files import write_table

    contents = {each.name: _content(request, each, runs) for each in chosen}
    written: list[Path] = []
    printed: list[str] = []
    kept = []
    for name in (each.name for each in chosen if not each.figure):
        # Nobody asked for it by name.
        if request.everything and not contents[name].all_results:
            continue
        text, paths = write_table(contents[name], request.tables_dir)
        printed.append(text)
        kept += [] if paths else [name]
        written += paths
    drawn = _draw(request, chosen, contents)
    written += [path for each in drawn.values() for path in each.paths]
    # A table that only a figure was asked for is judged, and on the page, all the same.
    by_table = {each.figure.table if each.figure else each.name: each.name for each in chosen}
    judged = [contents[by_table[name]] for name in TABLES if name in by_table]
    if request.claims:
        printed.append(claims_markdown([v for content in judged for v in judge(content)]))
    left_out = [name for name in request.optional if name not in contents]
    left_out += [each.name for each in chosen if each.figure and each.name not in drawn]
    if request.report is not None:
        from bench.report.page import write_report

        write_report(
            request.report,
            judged,
            list(drawn.values()),
            display=request.display,
            left_out=left_out,
            others=_latest(runs) if request.everything else [],
        )
        written.append(request.report)
    # Only after the files are written, so that a closed screen costs none of them.
    for text in printed:
        show(text)
    for each in chosen:
        if each.figure and each.name not in request.optional:
            for reason in contents[each.name].missing:
                say(f"{each.name}: {reason}")
    if kept:
        say(f"no run to show, so the files that are there stay: {', '.join(kept)}")
    if left_out:
        say(f"left out, since no run or kept image here can be shown: {', '.join(left_out)}")
    if written:
        say(f"written: {', '.join(map(str, written))}")
    whole = {name for name in contents if not contents[name].missing} - {*left_out, *kept}
    asked = {*request.tables, *request.figures} - set(request.optional)
    return 0 if asked <= whole else INCOMPLETE


def _draw(
    request: Request, chosen: Sequence[Chosen], contents: dict[str, TableResults]
) -> dict[str, Drawn]:
    """Draw the figures, but for those that are blank."""
    if not any(each.figure for each in chosen):
        return {}
    # Matplotlib takes a second to import, and does not import at all where a notebook has set a
    # backend that is not installed here.
    os.environ["MPLBACKEND"] = "agg"
    from bench.report.figures.write import write_figure

    figures = {each.name: each.figure for each in chosen if each.figure}
    drawn = {n: write_figure(f, contents[n], request.figures_dir) for n, f in figures.items()}
    return {name: done for name, done in drawn.items() if done}


def _latest(runs: Runs) -> list[Result | FailedRun]:
    """Every run as it was measured last, or why it failed."""
    latest = {result.run_id: result for result in every_result(runs)}
    found = (latest.get(run_id) or folder.failure for run_id, folder in runs.items())
    return [record for record in found if record]


def _content(request: Request, chosen: Chosen, runs: Runs) -> TableResults:
    """The results of a table's cells, and why a cell, or a seed of it, has none."""
    from bench.report.frame import TableResults

    table = chosen.table
    done: dict[Cell, list[Result]] = {cell: [] for cell in table.cells}
    failed: dict[Cell, list[FailedRun]] = {cell: [] for cell in table.cells}
    missing = []
    seeds = seeds_shown(request.seeds, runs)
    for cell in table.cells:
        asked = jobs_of([cell], seeds, request.only)
        reasons, not_run = [], []
        for job in jobs_of([cell], seeds):
            folder, name = runs[job.run_id], job.training.name
            result, failure = result_of(job, folder), failure_of(job, folder)
            if result:
                done[cell].append(result)
            if job not in asked:
                continue
            # What is damaged beside all that is asked for changes nothing.
            if folder.complaint and missing_of(job, folder):
                reasons.append(f"{name}: {folder.complaint}")
            elif failure:
                failed[cell].append(failure)
                reasons.append(f"{name} failed ({failure.reason})")
            elif not result and job.training.seed < (request.seeds or 1):
                not_run.append(f"{name} {_why_not(folder)}")
        # Collecting takes the seeds that are there.
        if request.mode != "collect" or request.seeds or not done[cell]:
            reasons += not_run
        seen = {extractor for result in done[cell] for extractor in result.extractors}
        if done[cell] and (unseen := [e for e in request.display.extractors if e not in seen]):
            reasons.append(f"not measured through {', '.join(unseen)}")
        place = f"{cell.row}, {table.axis}" if cell.row else table.axis
        missing += [f"{place} {cell.label}: {reason}" for reason in reasons]
    profile, display = chosen.profile.name, request.display
    return TableResults(table, done, missing, display, profile, failed, chosen.overrides)


def _why_not(folder: RunFolder) -> str:
    if folder.trained is None:
        return "not trained to its end" if folder.has_checkpoint else "not run"
    data = folder.trained.data
    seen = {(each.spec.extractor, each.extractor["checksum"]) for each in folder.measured}
    if others := sorted({name for name, sha in seen if sha != expected_identity(name, data)}):
        return f"measured through {', '.join(others)}, not declared here, or changed (--plugin)"
    weights = "" if folder.has_weights else ", and its weights are not here"
    return f"trained, but not measured{weights}"
