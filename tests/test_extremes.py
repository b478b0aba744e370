"""Settings and pictures at the ends of what can be: they work, or are refused in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cli import main
from bench.data.decoding import decode
from bench.data.pictures import BadPictureError, Form
from tests.support.tiny import TINY_ARGUMENTS


@pytest.mark.parametrize(
    ("setting", "status"),
    [
        ("batch_size=1", 0),
        ("batch_size=5000", 0),
        ("latent_dim=1", 0),
        ("latent_dim=600", 0),
        ("init_scale=0.001", 0),
        # Adam's steps are as long as the rate whatever the gradient: the loss becomes infinite.
        ("lr=1e30", 1),
    ],
)
def test_extreme_settings_come_to_an_end(
    setting: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [f"--{each}-dir={tmp_path / each}" for each in ("runs", "tables")]
    command = ["--table", "4", "--only", "*-l2-*", *TINY_ARGUMENTS, *folders, "--jobs", "1"]
    # Of two that set the same, the later one counts.
    assert main([*command, "--set", "epochs=1", "--set", setting]) == status
    error = capsys.readouterr().err
    assert "unexpected" not in error
    assert ("FAILED: NonFiniteLossError" in error) == bool(status)


def test_a_thousand_seeds_are_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--table", "4", "--plan", "--seeds", "1000", "--runs-dir", str(tmp_path)]
    assert main(command) == 0
    assert "4000 to train" in capsys.readouterr().out


def _file(mode: str, kind: str, size: tuple[int, int] = (40, 40)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "BMP"), ("P", "GIF"), ("RGB", "WEBP"), ("CMYK", "JPEG"), ("RGB", "PPM")],
)
@pytest.mark.parametrize("size", [(40, 40), (1, 1), (300, 7)])
def test_pictures_of_every_kind_are_taken(mode: str, kind: str, size: tuple[int, int]) -> None:
    assert decode(_file(mode, kind, size), Form(32, 3, "square")).pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("mode", ["F", "I", "I;16"])
def test_pictures_of_more_bits_are_refused_by_name(mode: str) -> None:
    with pytest.raises(BadPictureError, match=f"pixels of mode {mode}, not of eight bits"):
        decode(_file(mode, "TIFF"), Form(32, 1, "square"))
