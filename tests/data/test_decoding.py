import io
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision import transforms

from bench.data import celeba
from bench.data.decoding import decode
from bench.data.pictures import BadPictureError, Form
from tests.support.pictures import photograph


@pytest.mark.parametrize("size", [(178, 218), (89, 109), (356, 436)])
def test_crop_is_in_proportion(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    photograph(path, 3, size)
    side = round(148 * size[0] / 178)
    reference = transforms.Compose(
        [transforms.CenterCrop(side), transforms.Resize(64), transforms.PILToTensor()]
    )(Image.open(path))
    image, converted, _ = decode(path.read_bytes(), celeba.FORM)
    assert not converted
    assert np.abs(image.transpose(2, 0, 1).astype(int) - reference.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture"),
        (b"<html>no</html>", "not a picture"),
        (b"\xff\xd8\xff\xe0 not a jpeg", "broken"),
    ],
)
def test_what_is_no_picture_says_so(content: bytes, message: str) -> None:
    with pytest.raises(BadPictureError, match=message):
        decode(content, Form(32, 3, "square"))


def _file(mode: str, kind: str, size: tuple[int, int] = (40, 40)) -> bytes:
    buffer = io.BytesIO()
    _noise(0, size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["F", "I", "I;16"])
def test_pictures_of_more_bits_are_refused_by_name(mode: str) -> None:
    with pytest.raises(BadPictureError, match=f"pixels of mode {mode}, not of eight bits"):
        decode(_file(mode, "TIFF"), Form(32, 1, "square"))


def test_colours_that_pillow_does_not_convert_are_refused() -> None:
    with pytest.raises(BadPictureError, match="conversion from LAB"):
        decode(_file("LAB", "TIFF"), Form(32, 1, "square"))


def test_want_of_memory_is_no_fault_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", mock.Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        decode(_file("L", "PNG"), Form(32, 1, "square"))


def test_pictures_of_another_shape_are_not_celebas() -> None:
    with pytest.raises(BadPictureError, match="64x64 is not of CelebA's shape"):
        decode(_file("RGB", "PNG", (64, 64)), celeba.FORM)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "BMP"), ("P", "GIF"), ("RGB", "WEBP"), ("CMYK", "JPEG"), ("RGB", "PPM")],
)
@pytest.mark.parametrize("size", [(40, 40), (1, 1), (300, 7)])
def test_pictures_of_every_kind_are_taken(mode: str, kind: str, size: tuple[int, int]) -> None:
    assert decode(_file(mode, kind, size), Form(32, 3, "square")).pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "L"])
@pytest.mark.parametrize("side", [20, 32, 40, 57, 90])
def test_images_are_pils_of_any_size_and_mode(tmp_path: Path, mode: str, side: int) -> None:
    reference = transforms.Compose([transforms.Resize(32), transforms.PILToTensor()])
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    photograph(path, side, (side, side), mode)
    found = decode(path.read_bytes(), Form(32, 3, "square"))
    expected = reference(Image.open(path).convert("RGB")).permute(1, 2, 0).numpy()
    # PIL and PyTorch round their filters' weights differently.
    assert np.abs(found.pixels.astype(int) - expected.astype(int)).max() <= 2
    assert found.converted == (mode != "RGB")


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP", "JPEG", "MPO"])
def test_pages_and_frames_beyond_the_first_are_counted(kind: str) -> None:
    """But not what cameras put behind a JPEG: previews of the same picture."""
    pages = [_noise(index) for index in range(4)]
    buffer = io.BytesIO()
    pages[0].save(
        buffer, kind, **({} if kind == "JPEG" else {"save_all": True, "append_images": pages[1:]})
    )
    found = decode(buffer.getvalue(), Form(32, 3, "square"))
    assert found.unused == (0 if kind in ("JPEG", "MPO") else 3)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    """A camera's note of its orientation is heeded, in JPEG and in other files."""
    picture = Image.fromarray(np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3) // 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    for ending in ("jpg", "png"):
        path = tmp_path / f"turned.{ending}"
        picture.save(path, exif=exif)
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB").resize((32, 32), 2)
        result = decode(path.read_bytes(), Form(32, 3, "square")).pixels
        assert np.abs(result.astype(int) - np.asarray(upright).astype(int)).max() <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    """Beneath the transparent half lies red, which nobody sees."""
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:, :20] = (255, 0, 0, 0)
    pixels[:, 20:] = (0, 0, 0, 255)
    path = tmp_path / "a.png"
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("RGB").quantize(2)
        image.info["transparency"] = image.getpixel((0, 0))
        image.save(path, transparency=image.info["transparency"])
    else:
        image.convert(mode).save(path)
    found = decode(path.read_bytes(), Form(32, 3, "square")).pixels
    assert (found[:, :12] == 255).all()
    assert (found[:, 20:] == 0).all()


def _noise(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def test_pillows_own_warnings_are_not_the_users(tmp_path: Path) -> None:
    image = _noise(0).quantize(4)
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode((tmp_path / "a.png").read_bytes(), Form(32, 3, "square"))
    assert found.pixels.shape == (32, 32, 3)


@given(st.binary(max_size=60), st.integers(0, 400), st.sampled_from(["PNG", "JPEG", "BMP"]))
@settings(max_examples=60)
def test_any_picture_is_decoded_or_bad(content: bytes, place: int, kind: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 20).convert("RGB").save(buffer, kind)
    whole = buffer.getvalue()
    damaged = whole[:place] + content + whole[place + len(content) :]
    try:
        found = decode(damaged, Form(32, 3, "square"))
    except BadPictureError as error:
        assert str(error)  # noqa: PT017
    else:
        assert found.pixels.shape == (32, 32, 3)
