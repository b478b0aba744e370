import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def last_line_of_failure(
    command: Sequence[str], prepare: Callable[[], None] | None = None, seconds: float = 120
) -> str:
    """Run a command that must end with status 1 and no traceback; the last line that it says."""
    result = subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        preexec_fn=prepare,
    )
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]
