"""What a file is, by its first bytes: the six formats that Watson decodes, and others that it knows by name.

The name of a file is never asked: buckets are full of PNGs called ``.jpg``.
"""

from __future__ import annotations

import re

from watson.errors import ReasonCode, Refused

__all__ = ["DECODED", "identify"]

DECODED = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Pillow's names of the formats that are decoded."""

# (offset, bytes, name); the first that fits decides, so a longer prefix stands before a shorter one
_OURS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
)

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (8, b"CR\x02", "Canon raw (CR2)"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftyphevc", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftypcrx ", "Canon raw (CR3)"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop (PSD)"),
    (0, b"%PDF-", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (0, b"gimp xcf ", "GIMP (XCF)"),
    (0, b"\x00\x00\x01\x00", "icon (ICO)"),
    (0, b"\x00\x00\x02\x00", "cursor (CUR)"),
    (0, b"icns", "icon (ICNS)"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DirectDraw surface (DDS)"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm raw (RAF)"),
    (0, b"IIRO", "Olympus raw (ORF)"),
    (0, b"IIU\x00", "Panasonic raw (RW2)"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (0, b"\xd7\xcd\xc6\x9a", "Windows metafile (WMF)"),
    (40, b" EMF", "Windows metafile (EMF)"),
    (0, b"II\xbc\x01", "JPEG XR"),
)

_NETPBM = re.compile(rb"P[1-7]\s")
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<")
_BMP_HEADER_SIZES = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_TEXT_LOOKED_AT = 4096


def identify(data: bytes) -> str:
    """Return the format's name, one of `DECODED`.

    Raises:
        Refused: ``EMPTY_FILE``; ``UNSUPPORTED_FORMAT`` for an image of another kind; ``NOT_AN_IMAGE``.
    """
    if not data:
        raise Refused(ReasonCode.EMPTY_FILE, "the file has zero bytes: upload it again")
    other = _named(data, _OTHERS) or _other_by_shape(data)
    if other is not None:
        raise Refused(
            ReasonCode.UNSUPPORTED_FORMAT,
            f"the file is {other}; Watson decodes {', '.join(DECODED)}: convert it to one of these",
        )
    name = _named(data, _OURS) or _ours_by_shape(data)
    if name is None:
        begin = data[:16].hex(" ")
        raise Refused(
            ReasonCode.NOT_AN_IMAGE,
            f"the file is not an image of any known format (it begins with {begin}): take it out of the source",
        )
    return name


def _named(data: bytes, table: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((name for offset, magic, name in table if data.startswith(magic, offset)), None)


def _ours_by_shape(data: bytes) -> str | None:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    # "BM" alone begins many a text, so what follows must be a header that exists
    if data.startswith(b"BM"):
        known = int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES if len(data) >= 18 else b"\x00" in data
        return "BMP" if known else None
    return None


def _other_by_shape(data: bytes) -> str | None:
    if _NETPBM.match(data):
        return "Netpbm (PBM, PGM, PPM, PAM)"
    if _MARKUP.match(data[:_TEXT_LOOKED_AT]) and _SVG.search(data[:_TEXT_LOOKED_AT]):
        return "SVG"
    return None
