import time

import pytest

from bench import machine
from bench.machine import Stopwatch


def test_a_stopwatch_leaves_out_what_the_process_could_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time goes on while a process is stopped, and nothing in it can look at the clock."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = Stopwatch()
    start = clock.seconds()
    for step in (0.5, 3.0, 4.9):
        now += step
        clock.seconds()
    assert clock.seconds() - start == pytest.approx(8.4)
    now += 3600
    # Of an hour in which nobody looked, half a second counts.
    assert clock.seconds() - start == pytest.approx(8.9)
    now += 1
    assert clock.seconds() - start == pytest.approx(9.9)


def test_a_stopwatch_looks_at_the_clock_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_TICK", 0.01)
    until = time.monotonic() + 20
    with Stopwatch().running() as clock:
        before = clock._seen
        while clock._seen == before:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert not clock._thread.is_alive()
