import warnings

import joblib
import pytest
from joblib.externals.loky import process_executor

from bench.campaign.backends import loky
from bench.campaign.job import WorkerSettings


def _grow(number: int, settings: WorkerSettings) -> int:
    """A task after which joblib takes its worker for one that leaks."""
    process_executor._MEMORY_LEAK_CHECK_DELAY = 0.0
    process_executor._MAX_MEMORY_LEAK_SIZE = -(1 << 40)
    return number


@pytest.mark.parametrize("ours", [True, False])
def test_workers_that_have_grown_are_replaced_without_a_word(ours: bool) -> None:
    backend = loky(WorkerSettings(), 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if ours:
            grown = set(backend.results(_grow, range(12), WorkerSettings()))
        else:
            pool = joblib.Parallel(n_jobs=2, batch_size=1)
            grown = set(pool(joblib.delayed(_grow)(i, WorkerSettings()) for i in range(12)))
        assert grown == set(range(12))
    backend.stop()
    # joblib's own words, without which the first case would say nothing.
    assert any("A worker stopped" in str(each.message) for each in caught) != ours
