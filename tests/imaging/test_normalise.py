"""What comes out of `normalise` for pictures that work."""

from __future__ import annotations

import hashlib
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.imaging.samples import (
    LONG_SIDE,
    MAX_PIXELS,
    corners,
    encoded,
    photograph,
    pixels,
    png,
    png_chunk,
    scene,
    with_orientation,
)
from watson.imaging import NormalisedPicture, normalise, preprocessing_version

UPRIGHT = ["red", "green", "blue", "white"]


def run(data: bytes, long_side: int = LONG_SIDE) -> NormalisedPicture:
    return normalise(data, long_side=long_side, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_each_format_is_decoded_and_named(kind: str) -> None:
    picture = run(encoded(scene(), kind))
    assert (picture.width, picture.height, picture.format) == (120, 80, kind)
    assert (picture.original_width, picture.original_height) == (120, 80)
    assert corners(picture.bytes) == UPRIGHT


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_a_lossless_original_that_fits_stays_exact(kind: str) -> None:
    picture = run(encoded(scene(), kind))
    assert picture.suffix == "png"
    np.testing.assert_array_equal(pixels(picture.bytes), np.asarray(scene()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_original_becomes_a_jpeg_with_full_colour_resolution(kind: str) -> None:
    picture = run(encoded(scene(), kind))
    assert picture.suffix == "jpg"
    with Image.open(BytesIO(picture.bytes)) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_a_scaled_picture_becomes_a_jpeg_even_where_the_original_was_lossless() -> None:
    assert run(encoded(photograph(), "PNG")).suffix == "jpg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_exif_orientations_come_out_upright(kind: str, orientation: int) -> None:
    picture = run(with_orientation(scene(), orientation, kind))
    assert (picture.width, picture.height) == (120, 80)
    assert (picture.original_width, picture.original_height) == (120, 80)
    assert corners(picture.bytes) == UPRIGHT


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_is_scaled_is_turned_as_well(kind: str, orientation: int) -> None:
    picture = run(with_orientation(scene(1200, 800), orientation, kind))
    assert (picture.width, picture.height) == (256, 171)
    assert (picture.original_width, picture.original_height) == (1200, 800)
    assert corners(picture.bytes) == UPRIGHT


@pytest.mark.parametrize("stated", [0, 9, 77])
def test_an_impossible_orientation_is_no_orientation(stated: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = stated
    assert corners(run(encoded(scene(), "JPEG", exif=exif)).bytes) == UPRIGHT


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_cost_the_picture() -> None:
    broken = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\xff" * 300
    assert corners(run(encoded(scene(), "JPEG", exif=broken)).bytes) == UPRIGHT


def test_a_larger_picture_is_scaled_down_to_the_long_side() -> None:
    picture = run(encoded(photograph(640, 480), "JPEG"))
    assert (picture.width, picture.height) == (256, 192)
    assert (picture.original_width, picture.original_height) == (640, 480)


def test_a_tall_picture_is_scaled_by_its_height() -> None:
    picture = run(encoded(photograph(300, 900), "PNG"))
    assert (picture.width, picture.height) == (85, 256)


def test_a_picture_is_never_scaled_up() -> None:
    picture = run(encoded(scene(), "JPEG"), long_side=4096)
    assert (picture.width, picture.height) == (120, 80)


def test_a_picture_of_exactly_the_long_side_keeps_its_pixels() -> None:
    picture = run(encoded(photograph(256, 100), "PNG"))
    np.testing.assert_array_equal(pixels(picture.bytes), np.asarray(photograph(256, 100)))


def test_a_strip_of_one_pixel_keeps_one_pixel() -> None:
    picture = run(encoded(Image.new("RGB", (50_000, 1), (9, 99, 199)), "PNG"))
    assert (picture.width, picture.height) == (256, 1)
    assert (picture.original_width, picture.original_height) == (50_000, 1)


def test_a_single_pixel_works() -> None:
    assert pixels(run(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).bytes).tolist() == [[[1, 2, 3]]]


def test_draft_decoding_stays_close_to_the_full_decode() -> None:
    original = photograph(1600, 1200)
    data = encoded(original, "JPEG", quality=92)
    full = np.asarray(Image.open(BytesIO(data)).resize((256, 192), Image.Resampling.BICUBIC), np.float64)
    drafted = pixels(run(data).bytes).astype(np.float64)
    psnr = 10 * np.log10(255**2 / np.mean((full - drafted) ** 2))
    assert psnr > 36


def test_an_adobe_cmyk_jpeg_comes_out_in_its_colours() -> None:
    cmyk = Image.new("CMYK", (64, 64), (0, 255, 255, 0))  # red ink
    data = encoded(cmyk, "JPEG", quality=95)
    with Image.open(BytesIO(data)) as image:
        assert image.mode == "CMYK"
        assert "adobe" in image.info
    red, green, blue = pixels(run(data).bytes)[32, 32]
    assert red > 240
    assert green < 15
    assert blue < 15


def test_a_cmyk_tiff_comes_out_in_its_colours() -> None:
    data = encoded(Image.new("CMYK", (64, 64), (255, 0, 255, 0)), "TIFF")  # green ink
    assert pixels(run(data).bytes)[32, 32].tolist() == [0, 255, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_composited_on_white(kind: str) -> None:
    image = Image.new("RGBA", (40, 20), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 20))
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = pixels(run(encoded(image, kind, **options)).bytes).astype(int)
    assert np.abs(picture[10, 5] - (200, 0, 0)).max() <= 4
    assert np.abs(picture[10, 35] - (255, 255, 255)).max() <= 4


def test_half_transparent_grey_is_composited_on_white() -> None:
    data = encoded(Image.new("LA", (8, 8), (0, 128)), "PNG")
    assert pixels(run(data).bytes)[4, 4].tolist() == [127, 127, 127]


def test_a_palette_with_transparency_is_composited_on_white() -> None:
    image = Image.new("P", (20, 10), 1)
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.paste(0, (10, 0, 20, 10))
    for kind in ("PNG", "GIF"):
        picture = pixels(run(encoded(image, kind, transparency=0)).bytes)
        assert picture[5, 2].tolist() == [0, 0, 255]
        assert picture[5, 17].tolist() == [255, 255, 255]


def test_a_palette_without_transparency_keeps_its_colours() -> None:
    data = encoded(scene().quantize(4), "PNG")
    assert corners(run(data).bytes) == UPRIGHT


def test_a_colour_key_is_transparent() -> None:
    data = encoded(Image.new("RGB", (8, 8), (7, 8, 9)), "PNG", transparency=(7, 8, 9))
    assert pixels(run(data).bytes)[0, 0].tolist() == [255, 255, 255]


def test_grey_becomes_three_equal_channels() -> None:
    data = encoded(Image.linear_gradient("L"), "PNG")
    picture = pixels(run(data).bytes)
    assert (picture[..., 0] == picture[..., 1]).all()
    assert picture[:, 0, 0].tolist() == list(range(256))


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.new("1", (16, 16), 1)
    image.paste(0, (0, 0, 8, 16))
    for kind in ("PNG", "BMP", "TIFF"):
        picture = pixels(run(encoded(image, kind)).bytes)
        assert picture[8, 2].tolist() == [0, 0, 0]
        assert picture[8, 12].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65_535, 256).round().astype(np.uint16)
    data = encoded(Image.fromarray(np.tile(ramp, (4, 1))), kind)
    assert pixels(run(data).bytes)[0, :, 0].tolist() == list(range(256))


def test_sixteen_bit_big_endian_grey_is_scaled() -> None:
    image = Image.frombytes("I;16B", (4, 4), np.full((4, 4), 32_896, ">u2").tobytes())
    assert pixels(run(encoded(image, "TIFF")).bytes)[0, 0].tolist() == [128, 128, 128]


def test_a_sixteen_bit_rgb_png_keeps_its_high_bytes() -> None:
    row = b"\x00" + struct_pixels((65_535, 32_768, 257), 8)
    data = png(8, 8, depth=16, colour=2, rows=row * 8)
    assert pixels(run(data).bytes)[3, 3].tolist() == [255, 128, 1]


def test_a_sixteen_bit_rgb_tiff_keeps_its_high_bytes() -> None:
    data = tiff_rgb16((65_535, 32_768, 257), 8)
    assert pixels(run(data).bytes)[3, 3].tolist() == [255, 128, 1]


def test_floats_between_zero_and_one_are_taken_for_that() -> None:
    data = encoded(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF")
    assert pixels(run(data).bytes)[0, 0].tolist() == [128, 128, 128]


def test_wide_integers_are_stretched() -> None:
    values = np.array([[-1_000, 1_000_000]], np.int32)
    data = encoded(Image.fromarray(values), "TIFF")
    assert pixels(run(data).bytes)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    others = [Image.new("RGB", (120, 80), colour) for colour in ("black", "yellow")]
    assert corners(run(encoded(scene(), kind, save_all=True, append_images=others)).bytes) == UPRIGHT


def test_a_multi_picture_jpeg_gives_its_first_picture() -> None:
    data = encoded(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (120, 80), "black")])
    picture = run(data)
    assert picture.format == "JPEG"
    assert corners(picture.bytes) == UPRIGHT


def test_a_progressive_jpeg_works() -> None:
    assert corners(run(encoded(scene(), "JPEG", progressive=True)).bytes) == UPRIGHT


def test_a_run_length_encoded_bmp_works() -> None:
    rows = bytes([4, 1, 4, 0, 0, 0]) * 4 + bytes([0, 1])  # four rows of four pixels of colour 1, four of colour 0
    palette = bytes([0, 0, 255, 0]) + bytes([255, 0, 0, 0]) + bytes(254 * 4)
    header = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 8, 1, len(rows), 0, 0, 256, 0)
    data = b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + len(rows), 0, 0, 14 + 40 + 1024) + header + palette + rows
    assert pixels(run(data).bytes)[2, [0, 7]].tolist() == [[0, 0, 255], [255, 0, 0]]


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_compressed_tiffs_work(compression: str) -> None:
    assert corners(run(encoded(scene(), "TIFF", compression=compression)).bytes) == UPRIGHT


def test_bytes_after_the_end_do_no_harm() -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        assert corners(run(encoded(scene(), kind) + b"appended by some camera" * 50).bytes) == UPRIGHT


def test_no_metadata_of_the_original_is_left() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where the owner lives"
    data = encoded(scene(), "JPEG", exif=exif, comment=b"a private comment", icc_profile=b"profile" * 100)
    for picture in (run(data), run(encoded(scene(), "GIF", comment=b"a private comment"))):
        for secret in (b"where the owner", b"private comment", b"profileprofile"):
            assert secret not in picture.bytes
        with Image.open(BytesIO(picture.bytes)) as image:
            assert not image.getexif()
            assert not {"comment", "icc_profile"} & set(image.info)


def test_a_text_chunk_that_inflates_enormously_is_never_inflated() -> None:
    bomb = png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(b"\x00" * 50_000_000))
    data = png(2, 1, depth=8, colour=2, rows=b"\x00" + bytes((10, 20, 30)) * 2, extra=bomb * 4)
    assert pixels(run(data).bytes)[0, 0].tolist() == [10, 20, 30]


def test_the_same_file_gives_the_same_bytes() -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(photograph(), kind)
        assert run(data).bytes == run(data).bytes


def test_the_output_is_pinned() -> None:
    """Where this fails, pixels changed: raise PREPROCESSING_VERSION and write the new numbers here."""
    jpeg = encoded(photograph(320, 240), "JPEG", quality=90)
    large = encoded(photograph(1600, 1200), "JPEG", quality=90)
    assert preprocessing_version(256) == "1-256"
    pinned = {
        name: hashlib.sha256(pixels(run(data).bytes).tobytes()).hexdigest()[:16]
        for name, data in {"scaled": jpeg, "drafted": large, "exact": encoded(scene(), "PNG")}.items()
    }
    assert pinned == {"scaled": "9ee246f2a1f1c2f4", "drafted": "8d987246f26f4598", "exact": "b042cc98cfe2d664"}


def struct_pixels(colour: tuple[int, int, int], count: int) -> bytes:
    return np.array([colour] * count, ">u2").tobytes()


def tiff_rgb16(colour: tuple[int, int, int], side: int) -> bytes:
    """A little-endian RGB TIFF of 16 bits a channel, one strip, uncompressed (Pillow writes none)."""
    body = np.array([colour] * (side * side), "<u2").tobytes()
    bits_at, strip_at = 8 + 2 + 9 * 12 + 4, 8 + 2 + 9 * 12 + 4 + 6
    tags = [
        (256, 3, 1, side), (257, 3, 1, side), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, strip_at), (277, 3, 1, 3), (278, 3, 1, side), (279, 4, 1, len(body)),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\x00" + struct.pack("<IH", 8, len(tags))
    return head + directory + struct.pack("<I", 0) + struct.pack("<HHH", 16, 16, 16) + body
