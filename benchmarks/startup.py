"""How long commands take that train nothing, against importing what they do without."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.machine import core_count
from benchmarks.report import compare, options, write_comparisons

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "tests" / "report" / "golden" / "runs"
COMMANDS = {
    "--help": "import torch",
    "--table 4 --plan": "import torch",
    "--table 4 --collect": "import pandas, scipy.stats",
    "--table 4 --collect --report {folder}/report.html": "import pandas, matplotlib.pyplot",
}


def _python(*arguments: str, folder: str) -> None:
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def main() -> None:
    """Print the ratios, and write them."""
    arguments = options(__doc__, "startup", rounds=7)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for command, baseline in COMMANDS.items():
            words = [word.format(folder=folder) for word in command.split()]
            result = compare(
                f"{command}, against {baseline!r}",
                "a minute",
                work=60,
                baseline=partial(_python, "-c", baseline, folder=folder),
                suite=partial(
                    _python,
                    *(str(ROOT / "run_all.py"), *words, "--runs-dir", str(RECORDS)),
                    folder=folder,
                ),
                rounds=arguments.rounds,
            )
            print(result.line(), flush=True)
            results.append(result)
    write_comparisons(arguments.out, results, core_count())


if __name__ == "__main__":
    main()
