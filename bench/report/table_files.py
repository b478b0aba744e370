"""Write a table in every form."""

from __future__ import annotations

from pathlib import Path

from bench.files import write_text
from bench.report.frame import TableResults, frame
from bench.report.latex import latex
from bench.report.markdown import markdown


def write_table(content: TableResults, folder: Path) -> tuple[str, list[Path]]:
    """Write a table as ``.tex``, ``.md`` and ``.csv``.

    Returns:
        Its Markdown, and the files.
    """
    data = frame(content)
    outputs = {
        ".tex": latex(content, data),
        ".md": markdown(content, data),
        ".csv": data.to_csv(index=False),
    }
    for ending, text in outputs.items():
        write_text(folder / f"{content.table.name}{ending}", text)
    return outputs[".md"], [folder / f"{content.table.name}{ending}" for ending in outputs]
