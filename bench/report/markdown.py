"""Tables and verdicts in Markdown, as GitHub renders it and as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from bench.report.claims import Verdict
from bench.report.frame import Content
from bench.report.layout import MISSING, Note, Text, notes, rows, title


def markdown(content: Content, data: pd.DataFrame) -> str:
    """The table in Markdown, as GitHub renders it."""
    table = content.table
    heading = escape(title(content))

    def show(cell: Text) -> str:
        return f"**{cell.text}**" if cell.best and cell.text != MISSING else cell.text

    header = ["", *map(escape, (table.axis, *table.columns))]
    body = [
        [escape(row.label), row.kind, *(show(cell) for cell in row.cells)]
        for row in rows(content, data)
    ]
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [f"**{heading}**", "", line(header), line(rule), *map(line, body), ""]
    return "\n".join([*lines, *_bullets(notes(content, data))]) + "\n"


def claims_markdown(verdicts: Sequence[Verdict]) -> str:
    """What became of the paper's claims, as a list."""
    heading = "Claims of the paper, judged by differences between runs of one seed"
    said = [
        Note(
            f"{v.claim.statement} ({v.claim.source}, {v.data}, profile {v.profile}): {v.text}.",
            v.evidence,
        )
        for v in verdicts
    ]
    lines = [f"**{heading} (95 % intervals, Student t)**", "", *_bullets(said)]
    return "\n".join(lines) + "\n"


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
    return " ".join(text.split()).replace("<", r"\<").replace("|", r"\|")
