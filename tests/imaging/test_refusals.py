"""What `normalise` refuses, each with its own reason and a message that helps."""

from __future__ import annotations

import struct
import time
import tracemalloc

import pytest
from PIL import Image

from tests.imaging.samples import (
    LONG_SIDE,
    MAX_PIXELS,
    bomb_png,
    encoded,
    photograph,
    png,
    png_chunk,
    scene,
)
from watson.errors import ReasonCode, Refused
from watson.imaging import normalise


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> Refused:
    with pytest.raises(Refused) as caught:
        normalise(data, long_side=LONG_SIDE, max_pixels=max_pixels)
    return caught.value


def test_zero_bytes_are_refused_as_empty() -> None:
    refused = refusal(b"")
    assert refused.code is ReasonCode.EMPTY_FILE
    assert "zero bytes" in str(refused)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"hello, I am a text file",
        b"BMW is not a bitmap, whatever its first two letters say",
        b"<html><body>404 Not Found</body></html>",
        b'{"error": "NoSuchKey"}',
        b"PK\x03\x04" + b"\x00" * 100,
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00" * 4096,
    ],
)
def test_what_is_no_image_is_refused_as_not_an_image(data: bytes) -> None:
    refused = refusal(data)
    assert refused.code is ReasonCode.NOT_AN_IMAGE
    assert data[:4].hex(" ") in str(refused)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "HEIC"),
        (b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00", "AVIF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\xef\xbb\xbf <svg></svg>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\x00\x01" + b"\x00" * 20, "Photoshop"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\x00\x00", "JPEG XL"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "CR2"),
        (b"P6 2 2 255\n" + b"\x00" * 12, "Netpbm"),
        (b"\x00" * 128 + b"DICM", "DICOM"),
    ],
)
def test_other_image_formats_are_named_and_refused_as_unsupported(data: bytes, name: str) -> None:
    refused = refusal(data)
    assert refused.code is ReasonCode.UNSUPPORTED_FORMAT
    assert name in str(refused)
    assert "convert" in str(refused)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "JPEG2000", "EPS"])
def test_formats_that_pillow_could_decode_are_refused_all_the_same(kind: str) -> None:
    assert refusal(encoded(scene(), kind)).code is ReasonCode.UNSUPPORTED_FORMAT


def test_a_camera_raw_in_a_tiff_is_refused_as_unsupported() -> None:
    refused = refusal(encoded(scene(), "TIFF", tiffinfo={50706: b"\x01\x04\x00\x00"}))
    assert refused.code is ReasonCode.UNSUPPORTED_FORMAT
    assert "DNG" in str(refused)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused_as_truncated(kind: str, share: float) -> None:
    whole = encoded(photograph(), kind)
    refused = refusal(whole[: int(len(whole) * share)])
    assert refused.code is ReasonCode.TRUNCATED
    assert "upload it again" in str(refused)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("length", [12, 20, 26, 30])
def test_a_file_cut_within_its_header_is_refused(kind: str, length: int) -> None:
    assert refusal(encoded(photograph(), kind)[:length]).code in (
        ReasonCode.TRUNCATED,
        ReasonCode.CORRUPT,
        ReasonCode.NOT_AN_IMAGE,
    )


def test_a_jpeg_cut_within_its_exif_thumbnail_is_refused_as_truncated() -> None:
    data = encoded(scene(), "JPEG")
    app1 = b"\xff\xe1" + struct.pack(">H", 2 + 40_000) + b"Exif\x00\x00" + encoded(photograph(160, 120), "JPEG")
    assert refusal(data[:2] + app1).code is ReasonCode.TRUNCATED


def test_a_jpeg_whose_tables_are_garbage_is_refused_as_corrupt() -> None:
    data = bytearray(encoded(photograph(), "JPEG"))
    table = data.index(b"\xff\xc4")
    data[table + 5 : table + 21] = b"\xff" * 16
    assert refusal(bytes(data)).code is ReasonCode.CORRUPT


def test_a_jpeg_that_ends_before_any_picture_is_refused_as_corrupt() -> None:
    assert refusal(b"\xff\xd8\xff\xd9" + b"\x00" * 100).code is ReasonCode.CORRUPT


def test_a_png_with_a_broken_checksum_is_refused_as_corrupt() -> None:
    data = bytearray(encoded(photograph(), "PNG"))
    data[data.index(b"IDAT") + 100] ^= 0xFF
    refused = refusal(bytes(data))
    assert refused.code is ReasonCode.CORRUPT
    assert "intact copy" in str(refused)


def test_a_png_without_picture_data_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
    assert refusal(data).code in (ReasonCode.CORRUPT, ReasonCode.TRUNCATED)


def test_a_png_of_apples_own_kind_is_refused_as_unsupported() -> None:
    data = png(2, 2, depth=8, colour=2, rows=b"\x00" * 14, extra=png_chunk(b"CgBI", b"\x50\x00\x20\x02"))
    refused = refusal(data)
    assert refused.code is ReasonCode.UNSUPPORTED_FORMAT
    assert "CgBI" in str(refused)


def test_a_webp_with_garbage_inside_is_refused_as_corrupt() -> None:
    data = bytearray(encoded(photograph(), "WEBP"))
    data[20:60] = b"\xaa" * 40
    assert refusal(bytes(data)).code is ReasonCode.CORRUPT


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (50_000, 5_000), (2_001, 2_000), (65_535, 65_535)])
def test_more_pixels_than_allowed_are_refused_from_the_header(width: int, height: int) -> None:
    refused = refusal(bomb_png(width, height))
    assert refused.code is ReasonCode.TOO_MANY_PIXELS
    assert f"{width} × {height}" in str(refused)
    assert str(MAX_PIXELS) in str(refused)


def test_exactly_as_many_pixels_as_allowed_are_decoded() -> None:
    data = encoded(Image.new("RGB", (200, 100)), "PNG")
    assert normalise(data, long_side=LONG_SIDE, max_pixels=20_000).width == 200
    assert refusal(data, max_pixels=19_999).code is ReasonCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_the_limit_on_pixels_holds_for_each_format(kind: str) -> None:
    assert refusal(encoded(scene(), kind), max_pixels=9_599).code is ReasonCode.TOO_MANY_PIXELS


def test_a_gif_with_a_giant_screen_is_refused_from_the_header() -> None:
    data = bytearray(encoded(scene(), "GIF"))
    data[6:10] = struct.pack("<HH", 65_535, 65_535)
    assert refusal(bytes(data), max_pixels=200_000_000).code is ReasonCode.TOO_MANY_PIXELS


def test_a_gif_whose_frame_is_larger_than_its_screen_is_refused() -> None:
    data = bytearray(encoded(scene(), "GIF"))
    frame = data.index(b"\x2c\x00\x00\x00\x00\x78\x00\x50\x00")
    data[frame + 5 : frame + 9] = struct.pack("<HH", 65_535, 65_535)
    assert refusal(bytes(data), max_pixels=200_000_000).code is ReasonCode.TOO_MANY_PIXELS


def test_a_bomb_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        refusal(bomb_png(50_000, 50_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_limit_above_pillows_own_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for kind in ("JPEG", "PNG", "BMP"):
        assert normalise(encoded(scene(), kind), long_side=LONG_SIDE, max_pixels=MAX_PIXELS).width == 120
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_tiff_whose_directories_refer_to_each_other_for_ever_still_decodes() -> None:
    data = bytearray(encoded(scene(), "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + entries * 12, directory)
    assert normalise(bytes(data), long_side=LONG_SIDE, max_pixels=MAX_PIXELS).width == 120


def test_a_tiff_whose_directory_lies_beyond_its_end_is_refused_as_truncated() -> None:
    assert refusal(b"II*\x00\xff\xff\xff\x7f" + b"\x00" * 64).code is ReasonCode.TRUNCATED


def test_a_tiff_that_claims_millions_of_values_is_refused_before_they_are_read() -> None:
    entry = struct.pack("<HHII", 273, 4, 60_000_000, 8)
    refused = refusal(b"II*\x00" + struct.pack("<IH", 8, 1) + entry + b"\x00" * 64)
    assert refused.code is ReasonCode.CORRUPT
    assert "60000000" in str(refused)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xd8\xff\xe0\x00\x04ab" + b"\x00" * 30_000_000,
        b"\xff\xd8" + b"\xff" * 30_000_000,
        b"\xff\xd8" + b"\xff" * 30_000_000 + encoded(scene(), "JPEG")[2:],
        b"\xff\xd8" + b"\xff\x01" * 15_000_000,
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"tEXt", b"") * 2_000_000,
        b"BM"
        + b"\x00" * 8
        + struct.pack("<IIiiHHIIiiII", 54, 40, 14_000, 14_000, 1, 8, 1, 0, 0, 0, 0, 0)
        + b"\x01\x02" * 99,
        b"II+\x00\x08\x00\x00\x00" + struct.pack("<QQ", 16, 1_400_000) + b"\x00" * 30_000_000,
    ],
    ids=[
        "jpeg of zeros",
        "jpeg of fill bytes",
        "jpeg after fill bytes",
        "jpeg of empty markers",
        "png of empty chunks",
        "run-length bmp",
        "bigtiff of tags",
    ],
)
def test_megabytes_of_nothing_are_refused_quickly(hostile: bytes) -> None:
    began = time.monotonic()
    refusal(hostile, max_pixels=200_000_000)
    assert time.monotonic() - began < 5


def progressive(scans: int, between: bytes = b"") -> bytes:
    """A small progressive JPEG whose last scan, a few bytes, comes so often that there are as many."""
    data = encoded(scene(), "JPEG", progressive=True)
    usual = data.count(b"\xff\xda")
    start = data.rfind(b"\xff\xda")
    return data[:-2] + (between + data[start:-2]) * (scans - usual) + data[-2:]


@pytest.mark.parametrize("between", [b"", b"\xff\xfe\x00\x04\xff\xd9"], ids=["", "a comment that looks like an end"])
def test_a_jpeg_of_many_scans_is_refused_before_a_decoder_passes_over_it_again_and_again(between: bytes) -> None:
    refused = refusal(progressive(101, between))
    assert refused.code is ReasonCode.CORRUPT
    assert "more than 100 scans" in str(refused)


def test_a_jpeg_of_more_scans_than_usual_is_taken() -> None:
    normalise(progressive(100), long_side=LONG_SIDE, max_pixels=MAX_PIXELS)
    normalise(encoded(scene(), "JPEG", progressive=True), long_side=LONG_SIDE, max_pixels=MAX_PIXELS)
