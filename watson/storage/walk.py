"""A directory tree as one sorted stream of paths, in bounded memory, from any point on."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CHUNK", "Walk"]

CHUNK = 65_536
"""Names of one directory held at once; a directory with more is scanned again for each further chunk."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Relative paths of all that is not a directory, sorted by their bytes, as S3 sorts keys.

    The order is that of the whole path, ``a-b`` before ``a/b`` before ``a0``; so the last path seen is all it takes
    to go on later, in another process. Symbolic links are not followed: they come as leaves. A directory that
    disappears meanwhile has no entries.

    Iterating raises OSError where ``root`` cannot be read, or a directory in it is unreadable; ``filename`` says which.

    Attributes:
        root: absolute path of the directory. Bytes, as names need not be UTF-8.
        prefix: only paths that begin so; directories that cannot hold any are not opened.
        after: only paths that sort after this one.
        skip: leave out names (of files and directories) that begin so; empty for none.
        chunk: most names of one directory in memory.
    """

    root: bytes
    prefix: bytes = b""
    after: bytes = b""
    skip: bytes = b""
    chunk: int = CHUNK

    def __iter__(self) -> Iterator[bytes]:
        # An explicit stack: a tree may be deeper than Python's recursion.
        stack = [self._level(b"")]
        while stack:
            path = next(stack[-1], None)
            if path is None:
                stack.pop()
            elif path.endswith(b"/"):
                stack.append(self._level(path))
            else:
                yield path

    def _level(self, directory: bytes) -> Iterator[bytes]:
        """The wanted paths of one directory, sorted; those of directories end in ``/``."""
        last = b""
        while True:
            paths = heapq.nsmallest(
                self.chunk, (path for path in self._scan(directory) if path > last and self._wanted(path))
            )
            yield from paths
            if len(paths) < self.chunk:
                return
            last = paths[-1]

    def _wanted(self, path: bytes) -> bool:
        """Whether the path is to be listed; for a directory, whether it may hold one that is."""
        if path.endswith(b"/"):
            in_prefix = path.startswith(self.prefix) or self.prefix.startswith(path)
            return in_prefix and (path > self.after or self.after.startswith(path))
        return path.startswith(self.prefix) and path > self.after

    def _scan(self, directory: bytes) -> Iterator[bytes]:
        try:
            entries = os.scandir(os.path.join(self.root, directory))  # noqa: PTH118 - bytes
        except (FileNotFoundError, NotADirectoryError):
            if not directory:
                raise
            return
        with entries:
            for entry in entries:
                if not self.skip or not entry.name.startswith(self.skip):
                    yield directory + entry.name + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
