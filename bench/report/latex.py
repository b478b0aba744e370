"""A table in LaTeX with booktabs."""

import re
import unicodedata
from collections.abc import Sequence

from bench.report.frame import TableResults
from bench.report.notes import Note, title
from bench.report.rows import MISSING, Row, Text

_HEAD = r"""% A document that takes this in with \input needs \usepackage{booktabs,graphicx,xcolor}.
% It compiles by itself too: LaTeX sets \@nodocument to \relax at \begin{document}.
\expandafter\ifx\csname @nodocument\endcsname\relax
  \def\irmaeend{}%
\else
  \documentclass{article}\usepackage{booktabs,graphicx,xcolor}
  \usepackage[margin=2cm]{geometry}\pagestyle{empty}
  \def\irmaeend{\end{document}}
  \begin{document}
\fi"""

# graphicx shrinks what is wider than the text, or higher than a page, and leaves the rest alone.
_TO_WIDTH = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
_TO_HEIGHT = (
    r"\resizebox*{!}{\ifdim\totalheight>0.99\textheight 0.99\textheight\else\totalheight\fi}{%"
)

# So many columns, each with an interval, fit side by side at a size that can be read.
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
    return re.sub("-(?=-)", "-{}", escaped)


def _ascii(character: str) -> str:
    """A character in ASCII: a letter without its accents, or by its number in Unicode."""
    first, *marks = list(unicodedata.normalize("NFKD", character))
    accented = first.isalpha() and all(map(unicodedata.combining, marks))
    plain = first if accented else character
    if plain.isascii() and plain.isprintable():
        return plain
    # Combining marks belong to the letter before them.
    return "" if unicodedata.combining(character) else f"[U+{ord(character):04X}]"


def _paragraphs(note: Note) -> list[str]:
    """A note and, indented, what is behind it."""
    details = [rf"{{\leftskip1em {escape_latex(detail)}\par}}" for detail in note.details]
    return [escape_latex(note.text) + r"\par", *details]


def latex(content: TableResults, printed: Sequence[Row], said: Sequence[Note]) -> str:
    """The table as a document of its own, or as a float where a document takes it in.

    It is labelled after its name, ``tab:table4``.
    """
    table = content.table

    def show(cell: Text) -> str:
        text = escape_latex(cell.text)
        text = rf"\textbf{{{text}}}" if cell.best else text
        return rf"\textcolor{{gray}}{{{text}}}" if cell.grey else text

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
            # Behind a rule, a bracket would begin an option.
            label = label.replace("[", "{[}")
            cells = [label, escape_latex(row.kind), *(show(cell) for cell in row.cells[columns])]
            body.append(" & ".join(cells) + r" \\")
            previous = row.label
        header = ["", table.axis, *table.columns[columns]]
        return [
            _TO_WIDTH,
            rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
            r"\toprule",
            " & ".join(escape_latex(text) for text in header) + r" \\",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
        ]

    # What has more columns than a page is wide stands in blocks below each other.
    count = len(table.columns)
    width = -(-count // -(-count // _COLUMNS))
    blocks = [block(slice(start, start + width)) for start in range(0, count, width)]
    lines = [
        _HEAD,
        r"\begin{table}[htbp]\centering",
        _TO_HEIGHT,
        r"\begin{minipage}{\linewidth}\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(title(content.table, content))}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.name)}}}",
        *(line for each in blocks for line in (r"\par\medskip", *each)),
        r"\par\smallskip\footnotesize\raggedright",
        *(line for note in said for line in _paragraphs(note)),
        r"\end{minipage}}",
        r"\end{table}",
        r"\irmaeend",
    ]
    return "\n".join(lines) + "\n"
