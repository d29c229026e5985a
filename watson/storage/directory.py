"""Objects as files below one directory: a key is a relative path. For one machine, or a shared file system."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.storage.keys import TEMPORARY, checked_key
from watson.storage.objects import ObjectStat
from watson.storage.walk import Walk

__all__ = ["DirectoryObjectStore"]

_PAGE = 1000
_NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_TAKEN = (FileExistsError, NotADirectoryError, IsADirectoryError)


class DirectoryObjectStore:
    """An `ObjectStore` in a directory. File work is done in threads.

    A put is written beside its place under a temporary name, synced, renamed, and the directory synced: after a
    crash at any moment there is the old object or the new one. A file left half-written by such a crash begins with
    `TEMPORARY`, is never listed and may be deleted by hand. A key ``x`` and a key ``x/y`` cannot both exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - as the user spelled it, links and all

    async def open(self) -> None:
        """Make the directory where it is missing.

        Raises:
            UserError: it cannot be made, or is not a directory.
        """
        try:
            await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
        except OSError as exc:
            raise UserError(f"object store {self._root}: {exc.strerror}; name another directory") from exc

    async def close(self) -> None:
        """Nothing is held."""

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:  # noqa: ARG002 - a file has no type
        """Write all or nothing, durably; an existing object is replaced."""
        await asyncio.to_thread(self._put, key, data)

    async def get(self, key: str, limit: int | None = None) -> bytes:
        """The object's bytes; `Refused` with ``OBJECT_MISSING`` or ``TOO_LARGE``."""
        return await asyncio.to_thread(self._get, key, limit)

    async def stat(self, key: str) -> ObjectStat | None:
        """Size and time of change; None where there is no object."""
        return await asyncio.to_thread(self._stat, key)

    async def delete(self, key: str) -> None:
        """Remove it; no error where there is none."""
        await asyncio.to_thread(self._delete, key)

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[list[ObjectStat]]:
        """Pages of at most 1000 objects by the bytes of their keys; memory is bounded, however many there are."""
        root = os.fsencode(self._root)
        found = iter(Walk(root, prefix=_bytes(prefix), after=_bytes(after), skip=TEMPORARY.encode()))
        while page := await asyncio.to_thread(self._page, found):
            if stats := [stat for stat in page if stat is not None]:
                yield stats

    def _page(self, found: Iterator[bytes]) -> Sequence[ObjectStat | None]:
        with self._errors("list"):
            return [self._stat_of(path) for path in islice(found, _PAGE)]

    def _stat_of(self, path: bytes) -> ObjectStat | None:
        """None where it is not an object: a link, a socket, a foreign name, or gone meanwhile."""
        try:
            key = path.decode()
            status = os.lstat(os.path.join(os.fsencode(self._root), path))  # noqa: PTH118 - bytes
        except (UnicodeDecodeError, FileNotFoundError):
            return None
        return _object_stat(key, status)

    def _put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            with self._errors(key):
                _make_directories(path.parent)
                try:
                    _write(temporary, data)
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
                _sync_directory(path.parent)
        except _TAKEN as exc:
            why = f"object key {key!r}: a key 'x' and a key 'x/y' cannot both exist in {self._root}"
            raise Refused(ReasonCode.SOURCE_INVALID, why) from exc
        except FileNotFoundError as exc:
            raise Retriable(f"{path.parent} was removed during a put", ReasonCode.STORE_UNAVAILABLE) from exc

    def _get(self, key: str, limit: int | None) -> bytes:
        path = self._path(key)
        try:
            with self._errors(key), path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if limit is not None and size > limit:
                    raise Refused(ReasonCode.TOO_LARGE, f"object {key!r} has {size} bytes, more than {limit}")
                return file.read()
        except _NO_OBJECT:
            raise Refused(ReasonCode.OBJECT_MISSING, f"there is no object {key!r} in {self._root}") from None

    def _stat(self, key: str) -> ObjectStat | None:
        path = self._path(key)
        try:
            with self._errors(key):
                return _object_stat(key, path.stat())
        except _NO_OBJECT:
            return None

    def _delete(self, key: str) -> None:
        path = self._path(key)
        with suppress(*_NO_OBJECT), self._errors(key):
            path.unlink()
            _sync_directory(path.parent)

    def _path(self, key: str) -> Path:
        """Where the object lies; never outside the root, also not by way of a symbolic link."""
        path = self._root / checked_key(key)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._root)):
            raise Refused(ReasonCode.ACCESS_DENIED, f"object key {key!r} leads out of {self._root} by a symbolic link")
        return path

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """File errors in a store's terms; those that say that something is (not) there stay as they are."""
        try:
            yield
        except (*_NO_OBJECT, *_TAKEN):
            raise
        except PermissionError as exc:
            why = f"object store {self._root}, {what}: {exc.strerror}; this user must be able to read and write there"
            raise Refused(ReasonCode.ACCESS_DENIED, why) from exc
        except OSError as exc:
            why = f"object store {self._root}, {what}: {exc.strerror}"
            raise Retriable(why, ReasonCode.STORE_UNAVAILABLE) from exc


def _object_stat(key: str, status: os.stat_result) -> ObjectStat | None:
    """None for what is no regular file. The time of change stands for an ETag, as web servers do it."""
    if not S_ISREG(status.st_mode):
        return None
    return ObjectStat(key, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}")


def _bytes(text: str) -> bytes:
    """UTF-8; a lone surrogate cannot begin any key, and sorts as its bytes would."""
    return text.encode(errors="surrogatepass")


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_directories(path: Path) -> None:
    """``mkdir -p``, each new directory's name made durable in its parent."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make renames, creations and removals in it durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
