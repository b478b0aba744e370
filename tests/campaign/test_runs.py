from dataclasses import replace

import pytest

from bench.campaign.runs import measurements_of
from bench.store import identity
from bench.store.folders import Store
from tests.support.results import result, write
from tests.support.tiny import TINY_MEASUREMENT


def test_of_two_measurements_of_one_size_the_later_one_counts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older protocol's has numbers that are current, too."""
    made = result()
    (older,) = made.measurements
    monkeypatch.setitem(identity.METRIC_VERSIONS, "kid", older.protocol + 1)
    later = replace(older, protocol=older.protocol + 1, timing=older.timing | {"finished": 9})
    for order in ((older, later), (later, older)):
        write(store, replace(made, measurements=order))
        folder = store.read_folder(made.run_id)
        assert len(folder.measured) == 2
        assert measurements_of(folder, TINY_MEASUREMENT) == (later,)
