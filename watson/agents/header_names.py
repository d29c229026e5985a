r"""Records whose headers have names that are not UTF-8, read all the same.

Kafka's protocol says that names are text; brokers do not check it, and clients in C send whatever bytes they are given.
aiokafka raises `UnicodeDecodeError` at such a record at every fetch, for ever: nothing behind it in the partition is
delivered to any consumer again. Here the fetched bytes are read once more, by aiokafka's own code in Python, with the
bytes of such a name as ``\xff`` escapes. Every record that aiokafka can read goes its own, fast way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

__all__ = ["tolerate_header_names"]

_StockRecords: Any = fetcher.MemoryRecords
_StockPartition: Any = fetcher.PartitionRecords


def tolerate_header_names() -> None:
    """Let every consumer of this process read such records; doing it twice does no harm."""
    fetcher.MemoryRecords = _Fetched
    fetcher.PartitionRecords = _PartitionRecords


class _Fetched:
    """What a fetch brought of one partition: aiokafka's reader, and the bytes, should they have to be read again."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._reader = _StockRecords(data)
        self.has_next, self.next_batch = self._reader.has_next, self._reader.next_batch
        self.size_in_bytes = self._reader.size_in_bytes


class _PartitionRecords(_StockPartition):  # type: ignore[misc]  # aiokafka is untyped
    _records: Any

    def _unpack_records(self) -> Iterator[Any]:
        try:
            yield from super()._unpack_records()
        except (UnicodeDecodeError, CorruptRecordException):
            # Records that came already are left out: aiokafka knows the next offset. What is corrupt otherwise raises
            # once more.
            self._records = _LenientRecords(self._records.data)
            yield from super()._unpack_records()


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]  # ditto
    _next_slice: Any

    def next_batch(self, *_: Any) -> Any:
        data, batch = self._next_slice, super().next_batch()
        has_headers = data is not None and data[self.MAGIC_OFFSET] >= 2
        return _LenientBatch(data) if has_headers else batch


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # ditto
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _LenientText(self._buffer)


class _LenientText(bytearray):
    """Decodes whatever it holds; so do its parts."""

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        return _LenientText(part) if isinstance(place, slice) else part

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
