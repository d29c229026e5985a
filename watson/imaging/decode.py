"""From bytes to pixels with Pillow, one format's decoder at a time, and every failure as a reason.

The format is told by the first bytes and its decoder is called directly, never `PIL.Image.open`: no other decoder gets
to see the bytes, and no limit is read from or written to Pillow's process-wide `MAX_IMAGE_PIXELS` (GIF and WebP still
obey it themselves: 178,956,970 pixels). Pillow's `LOAD_TRUNCATED_IMAGES` must stay off.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from watson.errors import ReasonCode, Refused, WatsonError
from watson.imaging.colour import flatten
from watson.imaging.formats import identify
from watson.imaging.structure import ends_early, prepare

__all__ = ["DRAFT_MARGIN", "Decoded", "decode"]

DRAFT_MARGIN = 1.5
"""A JPEG is decoded at a half, a quarter or an eighth where that leaves so many times the pixels wanted on a side.

Measured on noisy photographs of 12 megapixels: at 1.5, decoding and scaling take half the time and the result differs
from that of the full decode by 50 dB (PSNR), well below what storing it as JPEG at quality 95 costs (43 dB).
"""

_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,  # also of a multi-picture file (MPO): its first picture
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}

_ORIENTATION = 0x0112
_SIDEWAYS = frozenset((5, 6, 7, 8))
_RAN_OUT = (EOFError, IndexError, struct.error)  # a decoder's header code wanted more bytes than there are
_SAYS_TRUNCATED = ("truncated", "not enough image data", "unexpected end", "no more images", "image not found in gif")
_SAYS_UNSUPPORTED = (
    "unsupported", "not supported", "unknown pixel mode", "unknown data organization", "not available",
    "no support", "cannot handle", "unrecognized image mode", "conversion from", "unknown raw mode",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture's pixels, not yet turned upright.

    Attributes:
        image: mode ``L`` or ``RGB``; smaller than the original where a JPEG was decoded at a fraction.
        orientation: EXIF orientation (1–8) that is still to be applied to ``image``.
        width: of the original when upright, in pixels.
        height: of the original when upright, in pixels.
        format: Pillow's name, one of `watson.imaging.formats.DECODED`.
    """

    image: Image.Image
    orientation: int
    width: int
    height: int
    format: str

    @property
    def lying(self) -> tuple[int, int]:
        """Width and height of the original as its pixels are stored, before it is turned upright."""
        return (self.height, self.width) if self.orientation in _SIDEWAYS else (self.width, self.height)


@dataclass(slots=True)
class _Attempt:
    """What is known of a file while it is being decoded, for the reason if that fails."""

    name: str
    data: bytes
    max_pixels: int
    image: ImageFile.ImageFile | None = field(default=None)


def decode(data: bytes, *, long_side: int, max_pixels: int) -> Decoded:
    """Decode a picture: its first frame, its first page.

    Args:
        data: the file.
        long_side: pixels wanted on the longer side; a JPEG may be decoded at a fraction that still leaves more.
        max_pixels: of the original; checked with the header's numbers before any pixel is decoded.

    Raises:
        Refused: with the reason why these bytes give no picture.
    """
    name = identify(data)
    attempt = _Attempt(name, prepare(name, data), max_pixels)
    with _the_picture_is_the_cause(attempt):
        image = attempt.image = _DECODERS[name](BytesIO(attempt.data), "")
        width, height = image.size
        _check_pixels(width, height, max_pixels)
        if name == "JPEG":
            share = DRAFT_MARGIN * long_side / max(width, height)
            image.draft(None, (max(1, round(width * share)), max(1, round(height * share))))
        image.load()
        orientation = _orientation_of(image)
        if name == "TIFF":  # Pillow has turned it upright by now
            width, height = image.size
        if orientation in _SIDEWAYS:
            width, height = height, width
        return Decoded(flatten(image), orientation, width, height, name)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise Refused(
            ReasonCode.TOO_MANY_PIXELS,
            f"the picture has {width} × {height} = {width * height} pixels, at most {max_pixels} are decoded: "
            "scale it down, or raise WATSON_MAX_PIXELS if it is genuine",
        )


def _orientation_of(image: ImageFile.ImageFile) -> int:
    try:
        stated = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - whatever broken EXIF makes Pillow raise, it says nothing of which way is up
        return 1
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


@contextmanager
def _the_picture_is_the_cause(attempt: _Attempt) -> Iterator[None]:
    """Turn whatever a decoder raises into a reason; only being out of memory is not the picture's fault.

    A decoder that meets hostile bytes raises anything: OSError, SyntaxError, ValueError, struct.error, TypeError, …
    """
    try:
        yield
    except (WatsonError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise Refused(
            ReasonCode.TOO_MANY_PIXELS,
            f"the {attempt.name} has more pixels than its decoder takes ({exc}): scale it down",
        ) from exc
    except Exception as exc:
        raise _refusal(attempt, exc) from exc


def _refusal(attempt: _Attempt, exc: Exception) -> Refused:
    said = str(exc).strip()[:300] or type(exc).__name__
    low = said.lower()
    if any(words in low for words in _SAYS_UNSUPPORTED):
        return Refused(
            ReasonCode.UNSUPPORTED_FORMAT,
            f"this kind of {attempt.name} is not decoded ({said}): save it as a plain JPEG or PNG",
        )
    tags = getattr(attempt.image, "tag_v2", None)
    known = None if tags is None else {tag: tags.get(tag) for tag in (273, 279, 324, 325)}
    ran_out = isinstance(exc, _RAN_OUT) or isinstance(exc.__cause__, _RAN_OUT)
    early = ran_out or any(words in low for words in _SAYS_TRUNCATED)
    if early or ends_early(attempt.name, attempt.data, known):
        return Refused(ReasonCode.TRUNCATED, f"the {attempt.name} ends too early ({said}): upload it again")
    return Refused(
        ReasonCode.CORRUPT,
        f"the {attempt.name} cannot be decoded ({said}): replace the file by an intact copy",
    )
