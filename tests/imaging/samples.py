"""Pictures made for tests: every format, every mode, every kind of broken."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

LONG_SIDE = 256
MAX_PIXELS = 4_000_000


def scene(width: int = 120, height: int = 80) -> Image.Image:
    """Four quadrants, red, green, blue and white, so that a turned or mirrored picture is told at once."""
    picture = np.zeros((height, width, 3), np.uint8)
    middle_y, middle_x = height // 2, width // 2
    picture[:middle_y, :middle_x] = (255, 0, 0)
    picture[:middle_y, middle_x:] = (0, 255, 0)
    picture[middle_y:, :middle_x] = (0, 0, 255)
    picture[middle_y:, middle_x:] = (255, 255, 255)
    return Image.fromarray(picture)


def photograph(width: int = 640, height: int = 480) -> Image.Image:
    """Smooth gradients with texture on them: compresses as photographs do. The same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(-12, 13, (height, width, 3))
    base = np.stack([x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x + y) % 256], axis=-1)
    return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand. ``colour``: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA. ``extra``: more chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def with_orientation(image: Image.Image, orientation: int, kind: str, **options: Any) -> bytes:
    """``image`` stored so that a viewer that honours EXIF shows it upright again."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = image if undo is None else image.transpose(undo)
    return encoded(stored, kind, exif=exif, **options)


def bomb_png(width: int, height: int) -> bytes:
    """Claims ``width`` × ``height`` pixels in a few bytes."""
    return png(width, height, depth=8, colour=2, rows=b"")


def pixels(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 of an encoded picture."""
    with Image.open(BytesIO(data)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def corners(data: bytes) -> list[str]:
    """Names of the colours top left, top right, bottom left, bottom right of a `scene`."""
    picture = pixels(data)
    height, width, _ = picture.shape
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    points = [(height // 4, width // 4), (height // 4, 3 * width // 4),
              (3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]  # fmt: skip
    return [names.get(tuple(int(v > 127) for v in picture[point]), "?") for point in points]
