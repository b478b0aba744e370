"""A table in every form, and its files."""

from pathlib import Path

import pandas as pd

from bench.files import write_text
from bench.report.frame import TableResults, frame
from bench.report.latex import latex
from bench.report.markdown import markdown
from bench.report.notes import notes
from bench.report.rows import rows


def forms(content: TableResults, data: pd.DataFrame) -> dict[str, str]:
    """A table by the endings of its files: ``.tex``, ``.md`` and ``.csv``.

    The data are its numbers, see :func:`bench.report.frame.frame`.
    """
    printed = rows(content, data)
    said = notes(content, data, printed)
    return {
        ".tex": latex(content, printed, said),
        ".md": markdown(content, printed, said),
        ".csv": data.to_csv(index=False),
    }


def write_table(content: TableResults, folder: Path) -> tuple[str, list[Path]]:
    """Write a table in every form; return its Markdown, and the files that were written.

    One without a number is not written over one that is there.
    """
    data = frame(content)
    texts = forms(content, data)
    paths = [folder / f"{content.table.name}{ending}" for ending in texts]
    if data["mean"].isna().all() and paths[0].exists():
        return texts[".md"], []
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return texts[".md"], paths
