"""One partition of a mark table, on disk (RocksDB) or in memory: the marks, and how far into the changelog they go."""

from __future__ import annotations

import functools
import time
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import structlog
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteBufferManager

from watson.errors import UserError, WatsonError

__all__ = ["Change", "MemoryPart", "Part", "RocksPart", "StoreDamaged"]

log = structlog.get_logger(__name__)

Change = tuple[bytes, bytes | None]
"""A key and its new value; None deletes it."""

OFFSET_KEY = b"__faust\0offset__"  # where stock Faust keeps it too

_WRITE_BUFFER = 8 << 20  # bytes; there is one database a partition, so Faust's 64 MB each would be too much
_WRITE_BUFFERS = 48 << 20  # bytes, of all partitions: 64 of them would else hold 512 MB
_BLOCK_CACHE = 32 << 20  # bytes, shared by all partitions
_OPEN_FILES = 64
_LOCKED_SECONDS = 2.0  # a reader of an earlier generation may hold its iterator for a moment
_POLL_SECONDS = 0.1
_IN_USE = ("lock file", "lock hold by current process")
"""What RocksDB says. Stock Faust looks for "lock", finds it in "block checksum mismatch", and waits for 30 s."""

_BLOOM_BITS = 10.0


class StoreDamaged(WatsonError):  # noqa: N818 - named for what happened
    """A local database is corrupt. It is marked, and moved aside when the worker starts again."""


class Part(Protocol):
    """What a mark table needs of one partition's storage. Not thread-safe: used in the event loop only."""

    offset: int
    """Of the last changelog record up to which nothing is missing here; -1 at the beginning."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def write(self, changes: Iterable[Change], offset: int) -> None:
        """Apply changes and set ``offset``, both or neither."""
        ...

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of all whose key begins with ``prefix``, in order of the key."""
        ...

    def count(self) -> int:
        """How many entries there are; of RocksDB an estimate."""
        ...

    def close(self) -> None:
        """Release files and locks."""
        ...

    def destroy(self) -> None:
        """Close, and forget all."""
        ...


class MemoryPart:
    """In a dictionary."""

    def __init__(self) -> None:
        self.offset = -1
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """See `Part`."""
        return self._values.get(key)

    def write(self, changes: Iterable[Change], offset: int) -> None:
        """See `Part`."""
        for key, value in changes:
            if value is None:
                if self._values.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value
        self.offset = offset

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Part`."""
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                return
            value = self._values.get(key)
            if value is not None:
                yield key, value

    def count(self) -> int:
        """See `Part`."""
        return len(self._values)

    def close(self) -> None:
        """Nothing to release; the marks are kept."""

    def destroy(self) -> None:
        """See `Part`."""
        self._values.clear()
        self._keys.clear()
        self.offset = -1


class RocksPart:
    """In a RocksDB directory. Value and offset go into one write, so a crash cannot come between them.

    Raises:
        UserError: the directory is in use by another process, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = _open(path)
        stored = self._database.get(OFFSET_KEY)
        self.offset = -1 if stored is None else int(stored)

    def get(self, key: bytes) -> bytes | None:
        """See `Part`.

        Raises:
            StoreDamaged: the database is corrupt.
        """
        try:
            value: bytes | None = self._database.get(key)
        except Exception as exc:
            raise self._damage(exc) from exc
        return value

    def write(self, changes: Iterable[Change], offset: int) -> None:
        """See `Part`."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(OFFSET_KEY, str(offset).encode())
        try:
            self._database.write(batch)
        except Exception as exc:
            raise self._damage(exc) from exc
        self.offset = offset

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Part`."""
        # not Rdict.items(): at a corrupt block that ends without a word
        iterator = self._database.iter()
        iterator.seek(prefix)
        while iterator.valid() and iterator.key().startswith(prefix):
            if iterator.key() != OFFSET_KEY:
                yield iterator.key(), iterator.value()
            iterator.next()
        try:
            iterator.status()
        except Exception as exc:
            raise self._damage(exc) from exc

    def count(self) -> int:
        """See `Part`."""
        return self._database.property_int_value("rocksdb.estimate-num-keys") or 0

    def close(self) -> None:
        """See `Part`."""
        self._database.close()

    def destroy(self) -> None:
        """See `Part`."""
        self.close()
        _move_aside(self._path, "of no use any more")
        self._database = _open(self._path)
        self.offset = -1

    def _damage(self, exc: Exception) -> Exception:
        if "orruption" not in str(exc):
            return exc
        _marker(self._path).touch()
        return StoreDamaged(f"{self._path} is corrupt ({exc}); restart the worker: it reads the marks anew from Kafka")


@functools.cache
def _block_cache() -> Cache:
    return Cache(_BLOCK_CACHE)


@functools.cache
def _write_buffers() -> WriteBufferManager:
    return WriteBufferManager(_WRITE_BUFFERS, allow_stall=False)  # writes are made in the event loop


def _options() -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(_block_cache())
    blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER)
    options.set_max_write_buffer_number(2)
    options.set_write_buffer_manager(_write_buffers())
    options.set_max_open_files(_OPEN_FILES)
    options.set_keep_log_file_num(2)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_block_based_table_factory(blocks)
    return options


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")


def _open(path: Path) -> Rdict:
    """Open, or begin anew where that fails. Blocks: called in a thread."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _marker(path).exists():
        _move_aside(path, "found corrupt by an earlier run")
        _marker(path).unlink()
    deadline = time.monotonic() + _LOCKED_SECONDS
    while True:
        try:
            return Rdict(str(path), options=_options())
        except Exception as exc:
            if not any(words in str(exc) for words in _IN_USE):
                _move_aside(path, str(exc))
                return Rdict(str(path), options=_options())
            if time.monotonic() > deadline:
                raise UserError(
                    f"{path} is in use by another process: give each worker its own WATSON_STATE_DIR. ({exc})"
                ) from exc
        time.sleep(_POLL_SECONDS)


def _move_aside(path: Path, why: str) -> None:
    """Let the next open begin with an empty directory.

    Raises:
        UserError: the directory can be neither opened nor moved.
    """
    aside = path.with_name(f"{path.name}.aside-{time.time_ns()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise UserError(f"{path} can neither be opened ({why}) nor moved aside ({exc}): check its permissions") from exc
    log.warning("database moved aside; its marks are read anew from Kafka", path=str(path), aside=str(aside), why=why)
