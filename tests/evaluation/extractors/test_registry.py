"""What extractors are known, and one of the user's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.data import dataset
from bench.errors import BenchError, UsageError
from bench.evaluation import extractors
from bench.evaluation.extractors import (
    EXTRACTORS,
    declared_extractor,
    expected_identity,
    general_extractor,
    in_order,
    inception_weights,
    register_extractor,
)
from tests.support.corner import CORNER


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "REGISTERED_EXTRACTORS", {})


def test_every_extractor_is_pinned_by_a_whole_checksum() -> None:
    for name in EXTRACTORS:
        spec = declared_extractor(name, dataset("mnist"))
        assert (spec.name, len(spec.checksum)) == (name, 64)
        assert int(spec.checksum, 16)


def test_a_classifier_is_only_that_of_its_data() -> None:
    digits = declared_extractor("classifier", dataset("mnist-sample"))
    assert digits == replace(declared_extractor("classifier", dataset("mnist")), load=digits.load)
    assert digits.checksum != declared_extractor("classifier", dataset("shape")).checksum
    own = replace(dataset("mnist"), own=True)
    for data in (dataset("shape-64"), own):
        with pytest.raises(UsageError, match=r"none is shipped for .*; use --extractor imagenet"):
            declared_extractor("classifier", data)
        assert expected_identity("classifier", data) is None


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean imagenet"):
        declared_extractor("imagenet1k", dataset("mnist"))


def test_auto_is_inception_where_its_weights_are_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert general_extractor() == "imagenet"
    path = inception_weights.hub_path()
    assert path is not None
    path.parent.mkdir(parents=True)
    path.touch()
    assert general_extractor() == "inception"
    with pytest.raises(BenchError, match="no such file"):
        general_extractor(tmp_path / "missing.pth")


def test_one_of_the_users_own_is_known_by_its_name_and_stands_behind_the_others() -> None:
    register_extractor(CORNER)
    register_extractor(CORNER)
    assert declared_extractor("corner", dataset("shape-64")) == CORNER
    assert expected_identity("corner", dataset("mnist")) == CORNER.checksum
    assert max(["corner", "classifier", "imagenet"], key=in_order) == "corner"
    for taken in (replace(CORNER, dimensions=3), replace(CORNER, name="imagenet")):
        with pytest.raises(UsageError, match="exists already"):
            register_extractor(taken)
