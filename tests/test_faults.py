"""A short campaign of faults; the long one is ``python -m benchmarks.faults``."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults import run_campaign


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_differs(tmp_path: Path) -> None:
    campaign = run_campaign(1, seed=1, folder=tmp_path)
    assert len(campaign.expected) == 2
    assert campaign.rounds == 1
    assert sum(campaign.faults.values()) > 0, campaign.line()
    assert (campaign.lost, campaign.differing, campaign.tracebacks) == (0, 0, 0), campaign.line()
