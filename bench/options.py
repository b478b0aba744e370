"""The options of the command line: those that a newcomer needs first, then the others."""

import argparse
import contextlib
from pathlib import Path
from typing import Any, NoReturn

from bench import __version__
from bench.data import DATASETS
from bench.errors import UsageError
from bench.evaluation.protocol import RANK_THRESHOLD
from bench.experiments.profiles import PROFILES
from bench.experiments.spec import SAMPLERS
from bench.experiments.tables import TABLES

PROGRAM = "irmae-bench"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {PROGRAM} --help)")


def parser() -> argparse.ArgumentParser:
    """Build the parser, which raises UsageError where it would end the process."""
    options = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [--table NAME] [--figure NAME] [other options]",
        description="Reproduce the tables of the supplement of Implicit Rank-Minimizing "
        "Autoencoder: train what is missing, then write each table with the paper's numbers "
        "beside the measured ones.",
        epilog="Exit status: 0 every requested cell is filled; 1 an error; 2 bad usage; 3 ended by "
        "--stop-after; 4 cells are empty, or runs failed; 130 interrupted; 143 terminated.",
        allow_abbrev=False,
        add_help=False,
    )
    for title, declared in _OPTIONS.items():
        group = options.add_argument_group(title)
        for option, text in declared.items():
            flag, _, metavar = option.partition(" ")
            more = _MORE.get(flag, {} if metavar else {"action": "store_true"})
            group.add_argument(flag, help=text, **more | ({"metavar": metavar} if metavar else {}))
        if title == "to begin with":
            group.add_argument("-h", "--help", action="help", help="show this text")
            group.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return options


def _positive(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")


def _given(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _file(text: str) -> Path:
    return Path(_given(text))


def _folder(text: str) -> Path:
    path = Path(_given(text))
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file; choose a folder")
    return path


# By group, each option with what its value is called: one without a value is a switch.
_OPTIONS = {
    "to begin with": {
        "--table NAME": "a table, repeatable: all (the supplement's, the default), or one of "
        + ", ".join(name.removeprefix("table") for name in TABLES),
        "--figure NAME": "a figure, repeatable: all, 1, 2, or another of docs/usage.md, such as "
        "ranks-depth",
        "--profile": "; ".join(f"{each.name}: {each.summary}" for each in PROFILES.values())
        + "; auto (the default): for each table and figure the most faithful one whose runs are "
        "all there; where there is none, paper on a GPU and quick without",
        "--seeds N": "seeds 0 to N-1 (default: train seed 0, tabulate every seed that is there)",
        "--runs-dir DIR": "folder where runs are read and written (default: %(default)s)",
        "--plan": "show what would run and how long, and run nothing",
    },
    "which runs": {
        "--only GLOB": "only runs whose name matches; repeatable, for runs that match one of "
        "several",
        "--set KEY=VALUE": "change a setting of every run, e.g. epochs=5, lr=3e-4 or "
        "precision=bf16; repeatable, the last of one key counts",
        "--dataset DATA": "run the tables on other data, by whose name the outputs are called: "
        f"{', '.join(DATASETS)}, or images of your own: images:FOLDER (pictures) or idx:FOLDER "
        "(two files of images in MNIST's format)",
        "--name NAME": "with --dataset: what runs and outputs of your own data are called "
        "(default: the folder's name)",
        "--plugin FILE": "Python file that registers methods, data sets, extractors, columns, "
        "rows or figures of your own",
        "--retry-failed": "run anew what failed",
        "--force": "run anew what is done already",
    },
    "how numbers are read and shown": {
        "--claims": "print each of the paper's claims with its verdict, from the requested tables "
        "and figures; alone, from the runs of every table that are there",
        "--report FILE": "write claims, tables, figures and runs as one page that needs nothing "
        "beside itself (default: %(const)s); alone, of everything that is there",
        "--extractor NAME": "network whose features FIDs compare, repeatable: inception; imagenet; "
        "classifier (of MNIST and Shape); auto, which is inception where its weights are at hand "
        "and imagenet elsewhere; or a plugin's. Runs that it has not seen are measured by it, and "
        "tables show it alone (default: see FIDs in docs/usage.md; tables show every one)",
        "--sampler": "show tables and verdicts of this sampler alone, repeatable (default: "
        "every one has a row)",
        "--rank-threshold SHARE": "count singular values above this share of the largest as the "
        "rank (default: %(default)g; measurements keep all of them)",
    },
    "where and on what": {
        "--data-dir DIR": "folder of MNIST and CelebA, where downloads go, too (default: "
        "%(default)s)",
        "--tables-dir DIR": "folder of the tables (default: %(default)s)",
        "--figures-dir DIR": "folder of the figures (default: %(default)s)",
        "--download": "fetch CelebA (1.4 GB) where it is missing",
        "--fid-weights FILE": "Inception's weights",
        "--device DEVICE": "auto, cpu, cuda or cuda:N",
        "--jobs N": "worker processes (default: a core each, or 1 on a GPU)",
        "--stop-after MINUTES": "end with status 3 at the first checkpoint after so many minutes, "
        "for queues that end jobs; the same command goes on",
        "--scheduler ADDRESS": "run on the workers of a Dask cluster, at an address such as "
        "tcp://host:8786 (pip install '.[dask]')",
        "--debug": "show the traceback of an error",
    },
    "finished runs": {
        "--collect": "write tables and figures from finished runs alone, each in the profile that "
        "fills most of its columns, unless --profile names one",
        "--status": "list the runs folder: states, sizes, why runs failed",
        "--verify RUN": "run a finished run once more and say what came out otherwise (status 1), "
        "if anything",
        "--export FILE": "write every number of every finished run as a .csv, a row each",
        "--gc": "remove checkpoints of runs whose training failed and temporary files that were "
        "left behind, and list the weights that are kept",
        "--weights-of PATTERN": "with --gc: remove the weights and checkpoints of runs whose "
        "folders match, too; what is measured of them stays",
    },
}
# What else argparse is told of some.
_REPEATABLE: dict[str, Any] = {"action": "append", "default": []}
_MORE: dict[str, dict[str, Any]] = {
    **{
        f"--{each}": _REPEATABLE
        for each in ("table", "figure", "only", "set", "plugin", "extractor")
    },
    **{f"--{each}": {"type": _positive} for each in ("seeds", "jobs", "stop-after")},
    **{f"--{each}": {"type": _file} for each in ("fid-weights", "export")},
    **{
        f"--{each}-dir": {"type": _folder, "default": Path(each)}
        for each in ("runs", "data", "tables", "figures")
    },
    "--sampler": _REPEATABLE | {"choices": SAMPLERS},
    "--profile": {"choices": (*PROFILES, "auto"), "default": "auto"},
    "--report": {"type": _file, "nargs": "?", "const": Path("report.html")},
    "--rank-threshold": {"type": _share, "default": RANK_THRESHOLD},
    "--device": {"default": "auto"},
    "--scheduler": {"type": _given},
}
