"""The store behind a mark table, as Faust's tables and recovery want it: parts by partition."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faust.stores import base
from faust.types import TP

from watson.agents.transport.parts import Change, MemoryPart, Part, RocksPart

__all__ = ["MarkStore"]


class MarkStore(base.Store):  # type: ignore[misc]  # Faust is untyped
    """Raw bytes, kept apart by partition.

    Faust's own stores find the partition by the event being processed, or search all of them, and its memory store
    mixes them. Its RocksDB store leaves closing a database to the garbage collector.
    """

    def __init__(self, url: Any, app: Any, table: Any, **options: Any) -> None:
        super().__init__(url, app, table, **options)
        self._parts: dict[int, Part] = {}

    def part(self, partition: int) -> Part:
        """Open the part, if it is not open yet."""
        if partition not in self._parts:
            self._parts[partition] = self._open(partition)
        return self._parts[partition]

    def _open(self, partition: int) -> Part:
        return MemoryPart() if self.url.scheme == "memory" else RocksPart(self._path(partition))

    def _path(self, partition: int) -> Path:
        return Path(self.app.conf.tabledir) / f"{self.table_name}-{partition}.db"

    def discard(self, partition: int) -> None:
        """Forget one part; recovery reads it anew."""
        self.part(partition).destroy()

    def persisted_offset(self, tp: TP) -> int | None:
        """How far into the changelog a part goes; None at its beginning."""
        offset = self.part(tp.partition).offset
        return None if offset < 0 else offset

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Say that a part is complete up to an offset."""
        self.part(tp.partition).write((), offset)

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], *_: Any) -> None:
        """Close what was lost, open what was won: in a thread, for RocksDB replays its log of writes."""
        topic = self.table.changelog_topic_name
        for tp in revoked:
            part = self._parts.pop(tp.partition, None) if tp.topic == topic else None
            if part is not None:
                await asyncio.to_thread(part.close)
        for tp in assigned:
            if tp.topic == topic and tp.partition not in self._parts:
                self._parts[tp.partition] = await asyncio.to_thread(self._open, tp.partition)

    def apply_changelog_batch(
        self,
        batch: Iterable[Any],
        to_key: Callable[[Any], Any],  # noqa: ARG002 - Faust's signature; bytes need no conversion
        to_value: Callable[[Any], Any],  # noqa: ARG002 - ditto
    ) -> None:
        """Write what recovery read; records of other topics and of parts that are not open are passed over."""
        changes: dict[int, list[Change]] = defaultdict(list)
        reached: dict[int, int] = {}
        for event in batch:
            message = event.message
            if message.partition in self._parts and message.topic == self.table.changelog_topic_name:
                changes[message.partition].append((message.key, message.value))
                reached[message.partition] = message.offset
        for partition, of_part in changes.items():
            part = self._parts[partition]
            part.write(of_part, max(reached[partition], part.offset))

    def reset_state(self) -> None:
        """Forget all parts that are open."""
        for part in self._parts.values():
            part.destroy()

    async def on_stop(self) -> None:
        """Close all."""
        while self._parts:
            _, part = self._parts.popitem()
            await asyncio.to_thread(part.close)

    async def backup_partition(self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Not offered: the changelog is the backup."""
        raise NotImplementedError("the changelog topic is the backup of a mark table")

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        """Not offered: see `backup_partition`."""
        raise NotImplementedError("the changelog topic is the backup of a mark table")
