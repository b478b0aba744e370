"""Tables and verdicts in Markdown, as GitHub renders it and as a terminal shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import isnan

from bench.report.claims import Verdict, span
from bench.report.frame import TableResults
from bench.report.metrics import METRICS
from bench.report.notes import Note, title
from bench.report.rows import MISSING, Row, Text, significant


def markdown(content: TableResults, printed: Sequence[Row], said: Sequence[Note]) -> str:
    """The table in Markdown, as GitHub renders it."""
    table = content.table
    heading = escape(title(table, content))

    def show(cell: Text) -> str:
        return f"**{cell.text}**" if cell.best else cell.text

    header = ["", *map(escape, (table.axis, *table.columns))]
    body = [[escape(row.label), row.kind, *(show(cell) for cell in row.cells)] for row in printed]
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [f"**{heading}**", "", line(header), line(rule), *map(line, body), ""]
    return "\n".join([*lines, *_bullets(said)]) + "\n"


def claims_markdown(verdicts: Sequence[Verdict]) -> str:
    """What became of the paper's claims, as a list."""
    heading = "Claims, judged by differences between means over seeds"
    said = [
        Note(
            f"Claim: {v.claim.statement} ({v.claim.source}, {v.data}, profile {v.profile}): "
            f"{v.text}.",
            v.evidence,
        )
        for v in verdicts
    ]
    return "\n".join(
        [
            f"**{heading} (95 % intervals, Welch's t)**",
            "",
            "| Claim | Cells | Paper | Measured | Verdict | Seeds | Runs |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *map(_claim_row, verdicts),
            "",
            *_bullets(said),
            "",
        ]
    )


def _claim_row(verdict: Verdict) -> str:
    """One row of the table of claims; each view has a line of measured numbers."""
    metric, cells = METRICS[verdict.claim.metric], verdict.cells
    form = "{:.1f}".format if metric.whole else significant
    measured = [
        f"{view}: " * bool(str(view))
        + ", ".join(
            MISSING if isnan(cell.means[view]) else form(cell.means[view]) for cell in cells
        )
        for view in (judgement.view for judgement in verdict.judgements)
        # One that sets different samplers against each other has no line of means.
        if all(view in cell.means for cell in cells)
    ]
    printed = [MISSING if cell.printed is None else f"{cell.printed:g}" for cell in cells]
    before = [
        f"{verdict.claim.statement} ({verdict.claim.source})",
        f"{metric.symbol} of {verdict.names}",
        ", ".join(printed) if set(printed) != {MISSING} else MISSING,
    ]
    behind = [
        verdict.text,
        span([cell.n for cell in cells]),
        f"{verdict.data}, {verdict.profile}",
    ]
    shown = [*map(escape, before), "<br>".join(map(escape, measured)), *map(escape, behind)]
    return f"| {' | '.join(shown)} |"


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
