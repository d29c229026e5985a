"""A directory tree as a source. The cursor is the last relative path, percent-encoded."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from stat import S_ISLNK, S_ISREG
from urllib.parse import quote_from_bytes, unquote_to_bytes

from watson.errors import ReasonCode, Retriable, UserError
from watson.sources.listing import Batch, Entry
from watson.sources.uris import file_uri, unreadable_uri
from watson.storage.walk import CHUNK, Walk

__all__ = ["DirectoryLister"]

_READING_WILL_TELL = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP})


class DirectoryLister:
    """Lists every regular file of the tree, sorted by the bytes of the relative path, as S3 would sort it.

    * The name says nothing: ``notes.txt`` is listed too, and ends in quarantine as ``not-an-image``, in sight.
    * Hidden files and directories (a name that begins with ``.``) are left out, as are sockets, pipes and devices.
    * A link to a file in the tree is listed under its own name. A link that leaves the tree, or leads to a directory,
      is not followed: it is listed so that it ends in quarantine with the reason. (A link that leads nowhere ends
      there too, as ``object-missing``.) What is swapped for such a link after it was listed is not read either.
    """

    def __init__(self, root: str, chunk: int = CHUNK) -> None:
        """Take the absolute path of the directory, and the most names of one directory to hold in memory."""
        self._root = os.fsencode(root)
        self._within = file_uri(self._root)
        self._real_root = os.path.realpath(self._root)
        self._chunk = chunk

    async def batches(self, cursor: str | None, page_size: int) -> AsyncIterator[Batch]:
        """See `Lister`."""
        after = unquote_to_bytes(cursor or "")
        found = iter(Walk(self._root, after=after, skip=b".", chunk=self._chunk))
        while page := await asyncio.to_thread(self._page, found, page_size):
            yield Batch(tuple(entry for _, entry in page), quote_from_bytes(page[-1][0], safe="/"))

    def _page(self, found: Iterator[bytes], size: int) -> Sequence[tuple[bytes, Entry]]:
        entries = ((path, self._entry(path)) for path in found)
        try:
            return list(islice(((path, entry) for path, entry in entries if entry is not None), size))
        except (PermissionError, FileNotFoundError, NotADirectoryError) as exc:
            why = f"cannot list {_text(exc.filename)}: {exc.strerror}"
            raise UserError(f"{why}; the source directory {_text(self._root)} must be readable throughout") from exc
        except OSError as exc:
            why = f"listing {_text(self._root)}: {exc.strerror} ({_text(exc.filename)})"
            raise Retriable(why, ReasonCode.STORE_UNAVAILABLE) from exc

    def _entry(self, path: bytes) -> Entry | None:
        """None for what is no file and no link. What cannot be looked at is listed all the same: reading will tell."""
        full = os.path.join(self._root, path)  # noqa: PTH118 - bytes: names need not be UTF-8
        try:
            status = os.lstat(full)
            if S_ISLNK(status.st_mode):
                if why := self._not_followed(full):
                    return Entry(unreadable_uri(why, file_uri(full)))
                status = os.stat(full)  # noqa: PTH116 - bytes
        except OSError as exc:
            if exc.errno in _READING_WILL_TELL:
                return Entry(file_uri(full), within=self._within)
            raise
        if not S_ISREG(status.st_mode):
            return None
        return Entry(file_uri(full), status.st_size, str(status.st_mtime_ns), self._within)

    def _not_followed(self, link: bytes) -> str | None:
        target = os.path.realpath(link)
        if os.path.commonpath((self._real_root, target)) != self._real_root:
            return f"is a link to {_text(target)}, outside the source's directory"
        if os.path.isdir(target):  # noqa: PTH112 - bytes
            return f"is a link to the directory {_text(target)}; links to directories are not followed"
        return None


def _text(path: bytes | str | None) -> str:
    return os.fsencode(path or b"?").decode(errors="backslashreplace")
