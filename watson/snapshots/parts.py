"""Writes a snapshot's lines to part files on disk and hashes them: memory does not grow with the dataset."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["PART_BYTES", "PART_IMAGES", "PartFile", "PartWriter"]

PART_IMAGES = 20_000
"""Most images in a part: some 20 MB of lines at three masks an image. What a reader and an upload hold at once."""

PART_BYTES = 32 * 2**20
"""A part that has so many bytes of lines takes no more: pictures may have hundreds of masks."""

_LEVEL = 6


@dataclass(frozen=True, slots=True)
class PartFile:
    """A finished part: gzip on disk. ``sha256`` and ``size`` (bytes) are of its lines, unpacked."""

    path: Path
    sha256: str
    images: int
    size: int


class PartWriter:
    """Takes lines in their order. Used by one thread at a time; a context manager that closes its files.

    Args:
        folder: where the parts go; empty.
        header: the first line.
        part_images: most images in a part. It does not change the content's hash, only how the content is cut up.
    """

    def __init__(self, folder: Path, header: bytes, part_images: int = PART_IMAGES) -> None:
        self._folder = folder
        self._part_images = part_images
        self._content = hashlib.sha256()
        self._done: list[PartFile] = []
        self._part = _OpenPart(folder / "0")
        self._write(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._part.close()

    def add(self, lines: Iterable[bytes]) -> None:
        """Some images' lines."""
        for line in lines:
            if self._part.images == self._part_images or self._part.size >= PART_BYTES:
                self._done.append(self._part.close())
                self._part = _OpenPart(self._folder / str(len(self._done)))
            self._write(line)
            self._part.images += 1

    def finish(self) -> tuple[str, list[PartFile]]:
        """The hash of all lines, header included, hexadecimal; and the parts in order."""
        self._done.append(self._part.close())
        return self._content.hexdigest(), self._done

    def _write(self, line: bytes) -> None:
        self._content.update(line)
        self._part.write(line)


class _OpenPart:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = path.open("wb")
        # No name and no time in the header: the same lines make the same object.
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=self._raw, mtime=0)
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.images = 0

    def write(self, line: bytes) -> None:
        self._packed.write(line)
        self._sha256.update(line)
        self.size += len(line)

    def close(self) -> PartFile:
        self._packed.close()
        self._raw.close()
        return PartFile(self._path, self._sha256.hexdigest(), self.images, self.size)
