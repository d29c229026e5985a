"""Whatever bytes come in, a picture or a reason comes out: never another exception."""

from __future__ import annotations

import random
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.imaging.samples import encoded, photograph, scene, with_orientation
from watson.errors import Refused
from watson.imaging import NormalisedPicture, normalise
from watson.imaging.formats import DECODED

SEEDS = [
    encoded(photograph(48, 32), "JPEG"),
    encoded(photograph(48, 32), "JPEG", progressive=True),
    encoded(Image.new("CMYK", (20, 20), (9, 99, 199, 0)), "JPEG"),
    with_orientation(scene(40, 30), 6, "JPEG"),
    encoded(photograph(24, 16), "PNG"),
    encoded(scene(40, 30).quantize(4), "PNG", transparency=0),
    encoded(Image.new("I;16", (12, 9), 4_000), "PNG"),
    encoded(photograph(48, 32), "WEBP"),
    encoded(scene(40, 30), "WEBP", save_all=True, append_images=[scene(40, 30).rotate(90)]),
    encoded(scene(20, 10), "BMP"),
    encoded(scene(20, 10).quantize(4), "BMP"),
    encoded(scene(20, 10), "TIFF"),
    encoded(scene(20, 10), "TIFF", compression="tiff_lzw"),
    encoded(photograph(24, 16), "TIFF", compression="jpeg"),
    with_orientation(scene(40, 30), 8, "TIFF"),
    encoded(scene(40, 30), "GIF", save_all=True, append_images=[scene(40, 30).rotate(90)]),
]
MAGIC = [
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    b"GIF89a",
    b"II*\x00\x08\x00\x00\x00",
    b"MM\x00*\x00\x00\x00\x08",
    b"RIFF\x40\x00\x00\x00WEBPVP8 ",
    b"RIFF\x40\x00\x00\x00WEBPVP8X",
    b"BM" + b"\x00" * 12 + b"\x28\x00\x00\x00",
]


def a_picture_or_a_reason(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow says of broken EXIF that it is broken
        try:
            picture = normalise(data, long_side=64, max_pixels=100_000)
        except Refused:
            return
    assert isinstance(picture, NormalisedPicture)
    assert max(picture.width, picture.height) <= 64
    assert picture.original_width * picture.original_height <= 100_000
    assert picture.format in DECODED
    assert picture.bytes.startswith(b"\xff\xd8\xff" if picture.suffix == "jpg" else b"\x89PNG")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file, of which some bytes were changed, cut out, doubled, or the end was lost."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 8))):
        # headers are where decoders go wrong: half of the changes go there
        last = len(data) - 1 if draw(st.booleans()) else min(len(data) - 1, 160)
        at = draw(st.integers(0, max(0, last)))
        how = draw(st.sampled_from(["byte", "bytes", "cut", "double", "end"]))
        length = draw(st.integers(1, 40))
        if how == "byte":
            data[at : at + 1] = bytes([draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 255))])
        elif how == "bytes":
            data[at : at + length] = draw(st.binary(min_size=length, max_size=length))
        elif how == "cut":
            del data[at : at + length]
        elif how == "double":
            data[at:at] = data[at : at + length]
        else:
            del data[max(1, at) :]
    return bytes(data)


@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_a_mutated_file_gives_a_picture_or_a_reason(data: bytes) -> None:
    a_picture_or_a_reason(data)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from([b"", *MAGIC]), st.binary(max_size=400))
def test_random_bytes_after_any_magic_give_a_picture_or_a_reason(magic: bytes, noise: bytes) -> None:
    a_picture_or_a_reason(magic + noise)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_truncation_gives_a_picture_or_a_reason(seed: int) -> None:
    data = SEEDS[seed]
    for length in range(0, len(data), max(1, len(data) // 80)):
        a_picture_or_a_reason(data[:length])


def test_the_unchanged_files_all_give_pictures() -> None:
    for data in SEEDS:
        assert normalise(data, long_side=64, max_pixels=100_000).bytes


@pytest.mark.parametrize("magic", [b"", *MAGIC, b"BM" + b"\0" * 8 + b"\x36\0\0\0\x28\0\0\0" + b"\xff\x7f\0\0" * 2])
def test_megabytes_of_random_bytes_after_any_magic_are_refused_with_a_short_message(magic: bytes) -> None:
    noise = random.Random(7).randbytes(8_000_000 if magic else 100_000_000)
    with pytest.raises(Refused) as caught:
        normalise(magic + noise, long_side=64, max_pixels=200_000_000)
    assert len(str(caught.value)) < 600
