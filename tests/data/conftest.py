from __future__ import annotations

import pytest

from bench.data import prepared


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting workers takes longer than preparing the few pictures of a test."""
    monkeypatch.setattr(prepared, "core_count", lambda: 1)
