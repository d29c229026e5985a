"""One picture as every model gets to see it: RGB, upright, its long side bounded, free of metadata."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image

from watson.imaging.decode import Decoded, decode

__all__ = ["PREPROCESSING_VERSION", "NormalisedPicture", "normalise", "preprocessing_version", "upright"]

PREPROCESSING_VERSION = 1
"""Raise it with every change that alters a pixel: in this package, or in Pillow (`tests/imaging` pins the bytes).

It is part of the key of the stored picture and of the identity of the masks made from it.
"""

JPEG_QUALITY = 95
"""With full colour resolution (4:4:4). 43 dB from what was decoded, a quarter of a PNG's size, 5 ms at 1024 pixels."""

PNG_COMPRESS_LEVEL = 1
"""Of zlib. 15 % larger than level 6 on photographs, in a quarter of the time."""

_LOSSLESS = frozenset(("BMP", "GIF", "PNG", "TIFF"))

# Source: EXIF 2.32, section 4.6.4 A; what has to be done to see the picture upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class NormalisedPicture:
    """A picture ready to be stored, and what the original was.

    Attributes:
        bytes: the encoded file.
        suffix: what kind of file it is.
        width: pixels.
        height: pixels.
        original_width: pixels, after EXIF orientation.
        original_height: pixels, after EXIF orientation.
        format: of the original, Pillow's name: JPEG, PNG, …
    """

    bytes: bytes
    suffix: Literal["jpg", "png"]
    width: int
    height: int
    original_width: int
    original_height: int
    format: str


def preprocessing_version(long_side: int) -> str:
    """The version with its setting, as events and object keys carry it: for example ``1-1024``."""
    return f"{PREPROCESSING_VERSION}-{long_side}"


def normalise(data: bytes, *, long_side: int, max_pixels: int) -> NormalisedPicture:
    """Decode a picture and make it what models see. Deterministic: the same file gives the same bytes.

    An original of a lossless format that need not be scaled stays lossless (PNG); all else becomes JPEG: what is scaled
    or was lossy is not exact any more, and a JPEG is a quarter of the size.

    Args:
        data: the original file: JPEG, PNG, WebP, BMP, TIFF or GIF.
        long_side: pixels; a larger picture is scaled down to it, a smaller one is left as it is.
        max_pixels: of the original; more is taken for a decompression bomb.

    Raises:
        Refused: ``EMPTY_FILE``, ``NOT_AN_IMAGE``, ``UNSUPPORTED_FORMAT``, ``TOO_MANY_PIXELS``, ``TRUNCATED`` or
            ``CORRUPT``; the message says what to do.
    """
    decoded = decode(data, long_side=long_side, max_pixels=max_pixels)
    scaled = max(decoded.width, decoded.height) > long_side
    image = upright(_fit(decoded, long_side), decoded.orientation).convert("RGB")
    lossless = decoded.format in _LOSSLESS and not scaled
    return NormalisedPicture(
        bytes=_encode(image, lossless=lossless),
        suffix="png" if lossless else "jpg",
        width=image.width,
        height=image.height,
        original_width=decoded.width,
        original_height=decoded.height,
        format=decoded.format,
    )


def _fit(decoded: Decoded, long_side: int) -> Image.Image:
    longest = max(decoded.width, decoded.height)
    if longest <= long_side:
        return decoded.image
    # turning comes after scaling: it is cheaper then
    width, height = (max(1, (2 * side * long_side + longest) // (2 * longest)) for side in decoded.lying)
    if decoded.image.size == (width, height):
        return decoded.image
    return decoded.image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned and mirrored as its EXIF orientation (1–8) says."""
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _encode(image: Image.Image, *, lossless: bool) -> bytes:
    image.info = {}  # else Pillow writes the original's comment, profile or transparency into the new file
    out = BytesIO()
    if lossless:
        image.save(out, "PNG", compress_level=PNG_COMPRESS_LEVEL)
    else:
        image.save(out, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return out.getvalue()
