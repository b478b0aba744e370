"""A table in LaTeX with booktabs."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

from bench.report.frame import Content
from bench.report.layout import MISSING, Note, Text, notes, rows, title

_HEAD = r"""% Compiles by itself; \input takes it into a document with booktabs (xcolor for grey,
% graphicx to shrink what is wider than the text or higher than a page).
% LaTeX sets \@nodocument to \relax at \begin{document}, which tells the two apart.
\expandafter\ifx\csname @nodocument\endcsname\relax
  \def\irmaeend{}%
\else
  \documentclass{article}\usepackage{booktabs,graphicx,xcolor}
  \usepackage[margin=2cm]{geometry}\pagestyle{empty}
  \def\irmaeend{\end{document}}
  \begin{document}
\fi
\providecommand{\textcolor}[2]{#2}%"""

# That fit side by side at a size that can be read, each with an interval.
_COLUMNS = 5

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{DAGGER}": r"$\dagger$",
    "<": "$<$",
    ">": "$>$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it, with whichever fonts and engine."""
    one_line = " ".join(text.split())
    escaped = "".join(_LATEX_SPECIAL.get(character) or _ascii(character) for character in one_line)
    # Options of the command line, not dashes.
    return escaped.replace("--", "-{}-")


def _ascii(character: str) -> str:
    """A character in ASCII: without its accents, or by its number in Unicode."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    plain = "".join(_LATEX_SPECIAL.get(each, each) for each in plain if each.isprintable())
    # Combining marks belong to the letter before them.
    return plain or ("" if unicodedata.combining(character) else f"[U+{ord(character):04X}]")


def _paragraphs(note: Note) -> list[str]:
    """A note and, indented, what is behind it."""
    details = [rf"{{\leftskip1em {escape_latex(detail)}\par}}" for detail in note.details]
    return [escape_latex(note.text) + r"\par", *details]


def latex(content: Content, data: pd.DataFrame) -> str:
    """The table as a document of its own, or as a float where a document takes it in.

    It is labelled after its name, ``tab:table4``.
    """
    table = content.table

    def show(cell: Text) -> str:
        text = escape_latex(cell.text)
        text = rf"\textbf{{{text}}}" if cell.best and cell.text != MISSING else text
        return rf"\textcolor{{gray}}{{{text}}}" if cell.grey else text

    printed = rows(content, data)

    def block(columns: slice) -> list[str]:
        body = []
        previous = None
        for row in printed:
            filled = [cell.text != MISSING for cell in row.cells]
            if any(filled) and not any(filled[columns]):
                # The row's numbers are in another block.
                continue
            if row.label != previous:
                body += [r"\midrule"] if previous is None else [r"\addlinespace"]
            label = "" if row.label == previous else escape_latex(row.label)
            cells = [label, escape_latex(row.kind), *(show(cell) for cell in row.cells[columns])]
            body.append(" & ".join(cells) + r" \\")
            previous = row.label
        header = ["", table.axis, *table.columns[columns]]
        return [
            rf"\setbox0=\hbox{{\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
            r"\toprule",
            " & ".join(escape_latex(text) for text in header) + r" \\",
            *body,
            r"\bottomrule",
            r"\end{tabular}}%",
            r"\leavevmode\ifdim\wd0>\linewidth\ifx\resizebox\undefined\box0\else",
            r"  \resizebox{\linewidth}{!}{\box0}\fi\else\box0\fi",
        ]

    # What has more columns than a page is wide stands in blocks below each other.
    count = len(table.columns)
    width = count if count <= _COLUMNS else -(-count // -(-count // _COLUMNS))
    blocks = [block(slice(start, start + width)) for start in range(0, count, width)]
    lines = [
        _HEAD,
        r"\begin{table}[htbp]\centering",
        r"\setbox1=\hbox{\begin{minipage}{\linewidth}",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(title(content))}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.name)}}}",
        *blocks[0],
        *(line for each in blocks[1:] for line in (r"\par\medskip", *each)),
        r"\par\smallskip\begin{minipage}{0.9\linewidth}\footnotesize\raggedright",
        *(line for note in notes(content, data) for line in _paragraphs(note)),
        r"\end{minipage}\end{minipage}}%",
        r"\leavevmode\ifdim\dimexpr\ht1+\dp1\relax>\textheight\ifx\resizebox\undefined\box1\else",
        r"  \resizebox*{!}{0.99\textheight}{\box1}\fi\else\box1\fi",
        r"\end{table}",
        r"\irmaeend",
    ]
    return "\n".join(lines) + "\n"
