"""Tables and verdicts within documents, made from cached runs: ``python -m docs.embed FILE``.

A document says what belongs where by the arguments that make it:

    <!-- run_all.py --table 4 -->
    what that prints of tables and claims
    <!-- end -->

After ``--table 4, in brief`` claims stand without what is behind them, and measured numbers without
their differences from the printed ones and the shares behind distances. After ``--claims, claims``
the table of claims is alone. Columns and rows in which nothing is measured are left out.
"""

import argparse
import contextlib
import io
import itertools
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.cli import main as run_all
from bench.errors import UsageError
from bench.files import write_bytes

_BLOCK = re.compile(
    r"(<!-- run_all\.py (.*?)(, in brief|, claims)? -->\n)(.*?)(<!-- end -->)", re.DOTALL
)
_KEPT = ("|", "- Claim: ", "  - ")
# In brief: what is behind a claim or a distance, and rows of differences.
_LEFT_OUT = re.compile(r"  - |\|[^|]*\| difference|\| (Real called real|Samples called samples) ")


def embed(text: str, runs_dir: Path) -> str:
    """A document with its blocks as the runs of a folder make them.

    Args:
        text: Markdown.
        runs_dir: cached runs; nothing is trained.

    Raises:
        UsageError: arguments that print no table.
    """

    def made(block: re.Match[str]) -> str:
        lines = _lines(block[2], runs_dir)
        if block[3] == ", claims":
            lines = lines[
                lines.index(next(line for line in lines if line.startswith("| Claim "))) :
            ]
            lines = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
        else:
            lines = list(_without_empty(lines))
        if block[3]:
            lines = [line for line in lines if not _LEFT_OUT.match(line)]
        # Tables and lists are told apart by an empty line.
        parts = itertools.groupby(lines, key=lambda line: line.startswith("|"))
        content = "\n\n".join("\n".join(part) for _, part in parts)
        return f"{block[1]}{content}\n{block[5]}"

    return _BLOCK.sub(made, text)


def _without_empty(lines: Sequence[str]) -> Iterator[str]:
    """Tables without the columns that have no run, and without the rows that have no number."""
    for is_table, part in itertools.groupby(lines, key=lambda line: line.startswith("|")):
        if not is_table:
            yield from part
            continue
        rows = [line.strip("|").split("|") for line in part]
        empty = [
            i
            for i in range(2, len(rows[0]))
            if all(row[i].strip() == "0" for row in rows if row[0].startswith(" Seeds"))
        ]
        for row in rows:
            kept = [cell for i, cell in enumerate(row) if i not in empty]
            if {cell.strip() for cell in kept[2:]} - {"--", "0"}:
                yield f"|{'|'.join(kept)}|"


def _lines(arguments: str, runs_dir: Path) -> list[str]:
    """Lines of tables and verdicts that a command prints."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        folders = [f"--runs-dir={runs_dir}", f"--tables-dir={folder}", f"--figures-dir={folder}"]
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            # Status 4 is that of a table with empty cells.
            run_all([*shlex.split(arguments), "--collect", *folders])
    lines = [line for line in printed.getvalue().splitlines() if line.startswith(_KEPT)]
    if not lines:
        raise UsageError(f"run_all.py {arguments}: no table comes of it")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Write documents anew, or with ``--check`` say which are not what the runs make of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if one differs"
    )
    arguments = parser.parse_args(argv)
    status = 0
    for path in arguments.documents:
        before = path.read_text(encoding="utf-8")
        after = embed(before, arguments.runs_dir)
        if after != before and arguments.check:
            print(f"{path}: not what the runs make of it; run make docs", file=sys.stderr)
            status = 1
        elif after != before:
            write_bytes(path, after.encode())
            print(f"written: {path}")
    return status


if __name__ == "__main__":
    sys.exit(main())
