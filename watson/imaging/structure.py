"""What a file's own skeleton says before a decoder touches it: is it whole, is it sane, what may be left out.

Cheap walks over segments, chunks and directory entries. They tell *truncated* from *corrupt* better than a decoder's
exception does, and they bound what a hostile file can make the decoder's Python code do: loop over millions of
entries, or inflate a text chunk.
"""

from __future__ import annotations

import re
import struct

from watson.errors import ReasonCode, Refused

__all__ = ["ends_early", "prepare"]

# far beyond what any encoder writes, far below what would take noticeable time
_MOST_SEGMENTS = 100_000
_MOST_FILL_BYTES = 1_000_000  # between a JPEG's segments; Pillow steps over them one by one
_MOST_SCANS = 100
"""Of a JPEG. Encoders write about ten; each costs the decoder a pass over all pixels, and may have but a few bytes."""
_MOST_CHUNKS = 1_000_000
_MOST_DIRECTORY_ENTRIES = 65_535
_MOST_TAG_VALUES = 1 << 20

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"))
_CRITICAL = 0x20  # Source: PNG 3rd edition, section 5.4: bit 5 of the type's first byte is 0 in critical chunks

_JPEG_MARKER = re.compile(rb"\xff([^\xff\x00])", re.DOTALL)
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length: TEM, RST0 to RST7, SOI
_JPEG_AFTER_SCAN = re.compile(rb"\xff([^\xff\x00\xd0-\xd7])", re.DOTALL)  # what is neither data nor RST0 to RST7
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA

_BMP_RUN_LENGTH = frozenset((1, 2))
_MOST_RUN_LENGTH_PIXELS = 4_000_000  # Pillow decodes these in Python, two million pixels a second

_DNG_VERSION = 50_706
_TIFF_BYTE_TYPES = frozenset((1, 2, 6, 7))  # BYTE, ASCII, SBYTE, UNDEFINED: kept as bytes, whatever their number
_TIFF_STRIPS = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles


def prepare(name: str, data: bytes) -> bytes:
    """Return what the decoder of format ``name`` is to see: the file, or the file without what no picture needs.

    Raises:
        Refused: ``TRUNCATED``, ``CORRUPT`` or ``UNSUPPORTED_FORMAT`` where the skeleton shows it already.
    """
    if name == "PNG":
        return _png(data)
    if name == "JPEG":
        _jpeg(data)
    elif name == "TIFF":
        _tiff(data)
    elif name == "BMP":
        _bmp(data)
    return data


def ends_early(name: str, data: bytes, tags: dict[int, object] | None = None) -> bool:
    """Whether a file that could not be decoded lacks its end, as far as its structure shows.

    Args:
        name: of the format.
        data: the file.
        tags: of a TIFF's first directory, where they could be read.
    """
    if name == "JPEG":  # within a scan, 0xFF is escaped: an end marker after the last scan's start is a true one
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if name == "WEBP":
        return len(data) < 12 or int.from_bytes(data[4:8], "little") + 8 > len(data)
    if name == "TIFF" and tags is not None:
        return any(_reaches_beyond(tags.get(at), tags.get(size), len(data)) for at, size in _TIFF_STRIPS)
    return False


def _truncated(what: str) -> Refused:
    return Refused(ReasonCode.TRUNCATED, f"the file ends before {what}: upload it again")


def _corrupt(what: str) -> Refused:
    return Refused(ReasonCode.CORRUPT, f"{what}: replace the file by an intact copy")


def _jpeg(data: bytes) -> None:
    """Walk the segments up to the first scan; from there on, count the scans."""
    position, fill = 2, 0
    for _ in range(_MOST_SEGMENTS):
        match = _JPEG_MARKER.search(data, position)
        if match is None:
            raise _truncated("its picture data begin")
        fill += match.start() - position
        if fill > _MOST_FILL_BYTES:
            raise _corrupt(f"the JPEG has more than {_MOST_FILL_BYTES} bytes between its segments")
        marker, position = match[1][0], match.end()
        if marker in _JPEG_ALONE:
            continue
        if marker == _JPEG_END:
            raise _corrupt("the JPEG ends before any picture data")
        if position + 2 > len(data):
            raise _truncated("its picture data begin")
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            raise _corrupt(f"the JPEG has a segment of impossible length at byte {position}")
        position += length
        if position > len(data):
            raise _truncated("its picture data begin")
        if marker == _JPEG_SCAN:
            _jpeg_scans(data, position)
            return
    raise _corrupt(f"the JPEG has more than {_MOST_SEGMENTS} segments before its picture data")


def _jpeg_scans(data: bytes, position: int) -> None:
    """Walk on from the data of the first scan to the end marker. Where the file ends before, the decoder says so."""
    scans = 1
    for _ in range(_MOST_SEGMENTS):
        match = _JPEG_AFTER_SCAN.search(data, position)
        if match is None or match[1][0] == _JPEG_END:
            return
        marker, position = match[1][0], match.end()
        if marker in _JPEG_ALONE:
            continue
        scans += marker == _JPEG_SCAN
        if scans > _MOST_SCANS:
            raise _corrupt(
                f"the JPEG has more than {_MOST_SCANS} scans, each of which costs a pass over all its pixels"
            )
        position += int.from_bytes(data[position : position + 2], "big")
    raise _corrupt(f"the JPEG has more than {_MOST_SEGMENTS} segments after its first scan")


def _png(data: bytes) -> bytes:
    """Keep the chunks that make the picture: no text, no colour profile, no animation, nothing after the end."""
    view, kept, position = memoryview(data), [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if position + 12 > len(data):
            raise _truncated("its last chunk (IEND)")
        length, kind = struct.unpack_from(">I4s", data, position)
        if not kind.isalpha():
            raise _corrupt(f"the PNG has no valid chunk at byte {position}")
        end = position + 12 + length
        if end > len(data):
            raise _truncated(f"the end of its chunk {kind.decode('ascii')} at byte {position}")
        if kind in _PNG_NEEDED:
            kept.append(bytes(view[position:end]))
        elif not kind[0] & _CRITICAL:
            raise Refused(
                ReasonCode.UNSUPPORTED_FORMAT,
                f"the PNG needs its chunk {kind.decode('ascii')}, which is not standard: save it as a plain PNG",
            )
        if kind == b"IEND":
            return b"".join(kept)
        position = end
    raise _corrupt(f"the PNG has more than {_MOST_CHUNKS} chunks")


def _tiff(data: bytes) -> None:
    """Look through the first directory, the only one that is decoded."""
    order, big = "<" if data.startswith(b"I") else ">", 43 in data[2:4]
    # Source: TIFF 6.0, section 2, and the BigTIFF design: where, how long, and how numbers are written
    offset_at, offset_form, count_form, entry_form = (8, "Q", "Q", "HHQ8x") if big else (4, "I", "H", "HHI4x")
    try:
        (directory,) = struct.unpack_from(order + offset_form, data, offset_at)
        (entries,) = struct.unpack_from(order + count_form, data, directory)
    except (struct.error, OverflowError) as exc:
        raise _truncated("its first directory") from exc
    if entries > _MOST_DIRECTORY_ENTRIES:
        raise _corrupt(f"the TIFF's first directory claims {entries} entries")
    first = directory + struct.calcsize(count_form)
    step = struct.calcsize(order + entry_form)
    if first + entries * step > len(data):
        raise _truncated("the end of its first directory")
    for tag, kind, values in struct.iter_unpack(order + entry_form, data[first : first + entries * step]):
        if tag == _DNG_VERSION:
            raise Refused(ReasonCode.UNSUPPORTED_FORMAT, "the file is a camera raw (DNG): develop it to JPEG or PNG")
        if values > _MOST_TAG_VALUES and kind not in _TIFF_BYTE_TYPES:
            raise _corrupt(f"the TIFF's tag {tag} claims {values} values")


def _bmp(data: bytes) -> None:
    """Keep large run-length encoded bitmaps, a few bytes of which can claim any size, from a decoder in Python."""
    if len(data) < 34 or int.from_bytes(data[14:18], "little") < 40:
        return  # the decoder says what is wrong; or the old header, which knows no compression
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression in _BMP_RUN_LENGTH and abs(width * height) > _MOST_RUN_LENGTH_PIXELS:
        raise Refused(
            ReasonCode.UNSUPPORTED_FORMAT,
            f"run-length encoded BMPs are decoded up to {_MOST_RUN_LENGTH_PIXELS} pixels, this one has "
            f"{abs(width)} × {abs(height)}: save it as a PNG",
        )


def _reaches_beyond(offsets: object, sizes: object, length: int) -> bool:
    if not isinstance(offsets, tuple) or not isinstance(sizes, tuple):
        return False
    pairs = zip(offsets, sizes, strict=False)
    return any(isinstance(at, int) and isinstance(size, int) and at + size > length for at, size in pairs)
