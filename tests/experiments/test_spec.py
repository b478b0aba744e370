import json
import os
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.experiments.spec import MeasurementSpec, TrainingSpec, identifying, parse_overrides
from bench.hashing import canonical_json, derive_seed
from bench.store.identity import measurement_id, run_id
from tests.support.tiny import TINY, TINY_MEASUREMENT

CHANGED = {
    "dataset": "mnist",
    "method": "ae",
    "latent_dim": 9,
    "depth": 3,
    "init_scale": 2.0,
    "parameters": (("beta", 0.2),),
    "learning_rate": 1e-3,
    "batch_size": 8,
    "epochs": 4,
    "shuffle": False,
    "train_images": 63,
    "precision": "bf16",
    "seed": 1,
    "architecture": "rae",
    "width": 0.5,
}
MEASURED_OTHERWISE = {"extractor": "inception", "test_images": 31, "fid_samples": 41}


def test_identity_is_the_same_in_other_processes_and_hash_seeds() -> None:
    program = (
        "from tests.support.tiny import TINY; from bench.data import dataset;"
        "from bench.store.identity import run_id;"
        "print(run_id(TINY, dataset('mnist-sample').fingerprint))"
    )
    ids = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "random")
    }
    # The literal guards against silent changes of what a record is filed under.
    assert ids == {"mnist-sample-irmae-d8-l2-s0-5a04777f\n"}


def test_every_field_changes_the_identity() -> None:
    assert set(CHANGED) == {field.name for field in fields(TrainingSpec)}
    for name, value in CHANGED.items():
        change: dict[str, Any] = {name: value}
        assert run_id(replace(TINY, **change), "data") != run_id(TINY, "data"), name
    assert run_id(TINY, "data") != run_id(TINY, "other data")


def test_every_field_of_a_measurement_changes_its_identity_and_no_runs() -> None:
    assert set(MEASURED_OTHERWISE) == {field.name for field in fields(MeasurementSpec)}
    specs = [TINY_MEASUREMENT]
    for name, value in MEASURED_OTHERWISE.items():
        change: dict[str, Any] = {name: value}
        specs.append(replace(TINY_MEASUREMENT, **change))
    identities = {measurement_id("run", spec, "00", 1) for spec in specs}
    identities |= {
        measurement_id(*arguments)
        for arguments in (
            ("other", TINY_MEASUREMENT, "00", 1),
            ("run", TINY_MEASUREMENT, "01", 1),
            ("run", TINY_MEASUREMENT, "00", 2),
        )
    }
    assert len(identities) == len(specs) + 3


def test_a_field_of_another_name_is_read_and_named_as_before() -> None:
    values = asdict(TINY_MEASUREMENT)
    values["features"] = values.pop("extractor")
    assert MeasurementSpec.from_json(values) == TINY_MEASUREMENT
    assert identifying(TINY_MEASUREMENT) == values


def test_whole_numbers_are_the_numbers_that_a_record_has() -> None:
    spec = replace(TINY, parameters=(("directions", 24),), init_scale=2, width=1)
    read = TrainingSpec.from_json(json.loads(json.dumps(asdict(spec))))
    assert read == spec
    assert run_id(read, "data") == run_id(spec, "data")
    assert run_id(replace(spec, parameters=(("directions", 24.0),)), "data") == run_id(spec, "data")


def test_json_round_trip() -> None:
    for spec in (TINY, replace(TINY, parameters=(("beta", 0.1), ("decay", 0.0)))):
        assert TrainingSpec.from_json(json.loads(json.dumps(asdict(spec)))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "0"},
        {"seed": 0.0},
        {"shuffle": 1},
        {"learning_rate": 1},
        {"more": 1},
        {"parameters": [1]},
    ],
)
def test_json_of_other_types_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="not a TrainingSpec"):
        TrainingSpec.from_json(asdict(TINY) | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": -1}, "depth must be at least 0"),
        ({"parameters": (("b", 1.0), ("a", 1.0))}, "sorted and different"),
        ({"parameters": (("a", 1.0), ("a", 2.0))}, "sorted and different"),
        ({"parameters": (("a", -1.0),)}, "a must be at least 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"precision": "fp16"}, "unknown precision"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(TINY, **change)


def test_overrides() -> None:
    assert parse_overrides(["epochs=5", "lr=3e-4", "shuffle=false"]) == {
        "epochs": 5,
        "learning_rate": 3e-4,
        "shuffle": False,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch=5", "did you mean epochs"),
        ("epochs=five", "expected int"),
        ("epochs", "takes key=value"),
        ("seed=3", "use --seeds"),
        ("shuffle=1", "expected bool"),
    ],
)
def test_bad_overrides(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_overrides([text])


@given(st.text())
def test_any_override_is_parsed_or_refused(text: str) -> None:
    try:
        parse_overrides([text])
    except UsageError as error:
        assert "\n" not in str(error) or "\n" in text  # noqa: PT017


@given(st.lists(st.one_of(st.text(), st.integers()), min_size=1))
def test_derived_seeds_are_in_range(parts: list[str | int]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_derived_seeds_tell_parts_apart() -> None:
    assert (
        len({derive_seed("a", 1), derive_seed("a", 11), derive_seed("a1"), derive_seed("a", "1")})
        == 4
    )


def test_canonical_json_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"loss": float("nan")})


def test_parameters_are_set_where_a_method_has_them() -> None:
    vae = replace(TINY, method="vae", depth=0, parameters=(("beta", 0.1),))
    settings = parse_overrides(["beta=0.5", "depth=3", "epochs=2"], ["beta"])
    assert settings == {"beta": 0.5, "depth": 3, "epochs": 2}
    assert vae.with_settings(settings) == replace(vae, parameters=(("beta", 0.5),), epochs=2)
    assert TINY.with_settings(settings) == replace(TINY, depth=3, epochs=2)
    assert vae.parameter("beta") == 0.1
    with pytest.raises(UsageError, match="needs the parameter 'beta'"):
        TINY.parameter("beta")
    with pytest.raises(UsageError, match="unknown --set key"):
        parse_overrides(["beta=0.5"])
