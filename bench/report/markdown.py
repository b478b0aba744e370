"""Tables and verdicts in Markdown, as GitHub renders it and as a terminal shows it."""

import itertools
import re
from collections.abc import Iterable, Sequence
from math import isnan

from bench.experiments.published import PUBLISHED
from bench.experiments.spec import Cell, TableSpec
from bench.report.claims import Verdict, span
from bench.report.frame import TableResults
from bench.report.metrics import METRICS
from bench.report.notes import Note, title
from bench.report.rows import MISSING, Row, Text, as_printed, significant
from bench.report.statistics import interval


def markdown(content: TableResults, printed: Sequence[Row], said: Sequence[Note]) -> str:
    """The table in Markdown, as GitHub renders it."""
    table = content.table
    heading = escape(title(table, content))

    def show(cell: Text) -> str:
        return f"**{cell.text}**" if cell.best else cell.text

    header = ["", *map(escape, (table.axis, *table.columns))]
    body = [[escape(row.label), row.kind, *map(show, row.cells)] for row in printed]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    sides = "<<" + ">" * len(table.columns)

    def line(texts: Sequence[str]) -> str:
        cells = zip(texts, sides, widths, strict=True)
        return f"| {' | '.join(f'{text:{side}{width}}' for text, side, width in cells)} |"

    rule = [("-" * width) if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [f"**{heading}**", "", line(header), line(rule), *map(line, body), ""]
    return "\n".join([*lines, *_bullets(said)]) + "\n"


def claims_markdown(verdicts: Sequence[Verdict]) -> str:
    """What became of the paper's claims, as a list."""
    said = [
        Note(
            f"Claim: {v.claim.statement} ({v.claim.source}, {v.data}, profile "
            f"{v.content.setting}): {v.text}.",
            v.evidence,
        )
        for v in verdicts
    ]
    lines = [
        "**Claims, judged by differences between means over seeds (95 % intervals, Welch's t)**",
        "",
        "| Claim | Verdict | Seeds | Cells | Paper | Measured | Runs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *map(_claim_row, verdicts),
        "",
        *_bullets(said),
        "",
    ]
    return "\n".join(lines)


def _claim_row(verdict: Verdict) -> str:
    """One row of the table of claims; each view has a line of measured numbers."""
    claim, content, cells = verdict.claim, verdict.content, verdict.cells
    table, metric = content.table, METRICS[claim.metric]
    form = "{:.1f}".format if metric.whole else significant
    counts = {name: span(verdict.seeds([name])) for name in verdict.extractors}
    # One count where all have seen as many.
    seeds = list(set(counts.values()))
    if len(seeds) > 1:
        seeds = [f"{name}: {count}" for name, count in counts.items()]
    measured = []
    for view in (judgement.view for judgement in verdict.judgements):
        values = [content.learned(claim.metric, view, cell) for cell in cells]
        means = [interval(each, logarithmic=metric.logarithmic).mean for each in values]
        shown = ", ".join(MISSING if isnan(mean) else form(mean) for mean in means)
        measured.append(f"{view}: " * bool(str(view)) + shown)
    found = [PUBLISHED.get((table.published, claim.metric, c.row, c.label)) for c in cells]
    printed = ", ".join(as_printed(each.value, metric) if each else MISSING for each in found)
    parts = [
        [f"{claim.statement} ({claim.source})"],
        [verdict.text],
        seeds,
        [f"{metric.symbol} of {_names(table, cells)}"],
        [printed if any(found) else MISSING],
        measured,
        [f"{verdict.data}, {content.setting}"],
    ]
    return f"| {' | '.join('<br>'.join(map(escape, lines)) for lines in parts)} |"


def _names(table: TableSpec, cells: Sequence[Cell]) -> str:
    """Cells in one text: ``l = 12, 8, 4``, or ``IRMAE: 512; AE: 32, 64``."""
    if all(cell.called for cell in table.cells):
        return ", ".join(map(table.naming, cells))
    sign = f"{table.symbol} = " * bool(table.symbol)
    return "; ".join(
        f"{row}: " * bool(row) + sign + ", ".join(cell.label for cell in of_row)
        for row, of_row in itertools.groupby(cells, key=lambda cell: cell.row)
    )


def _bullets(said: Iterable[Note]) -> list[str]:
    """Notes as a list, with what is behind them below each."""
    return [
        line
        for note in said
        for line in (
            f"- {escape(note.text)}",
            *(f"  - {escape(detail)}" for detail in note.details),
        )
    ]


def escape(text: str) -> str:
    """Text on one line in which nothing is HTML or the border of a cell."""
    # A backslash counts where it would take a sign's meaning.
    return re.sub(r"[<|]|\\(?=[\\<|])", r"\\\g<0>", " ".join(text.split()))
