"""A table of marks: what was done, by partition and key, backed by a changelog topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import faust
from faust.types import TP

from watson.agents.transport.parts import Part
from watson.agents.transport.stores import MarkStore
from watson.errors import EmitFailed, PartitionRevoked

if TYPE_CHECKING:
    from watson.agents.transport.app import TransportApp

__all__ = ["MarkTable"]


class MarkTable(faust.Table):  # type: ignore[misc]  # Faust is untyped
    """Raw bytes, the partition always named, the changelog always ahead.

    Correction h: `put` writes to the changelog, waits for the broker's acknowledgement, and only then to the local
    store. Stock writes locally at once and sends in the background: after a crash the store may hold what the
    changelog never got, which nobody else will see.

    A part can be read and written from the end of its recovery until it is revoked.

    Args:
        app: the app it belongs to.
        source: full name of the topic whose partitions it shares; must be consumed by the same app.
        options: as for `faust.Table`.
    """

    app: TransportApp

    def __init__(self, app: TransportApp, *, source: str, **options: Any) -> None:
        super().__init__(app, key_type=bytes, value_type=bytes, **options)
        self.source = source
        self._ready: dict[int, Part] = {}

    def _new_store_by_url(self, url: Any) -> MarkStore:
        return MarkStore(url, self.app, self, table_name=self.name, loop=self.loop)

    async def on_start(self) -> None:
        """Open the store. The changelog is not declared: `watson topics create` made it."""
        await self.add_runtime_dependency(self.data)

    # what the stages use

    def get(self, partition: int, key: bytes) -> bytes | None:  # type: ignore[override, unused-ignore]  # not a mapping
        """The value, or None.

        Raises:
            PartitionRevoked: the partition is not this worker's.
        """
        return self._part(partition).get(key)

    async def put(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Write, or delete where ``value`` is None; returns when changelog and local store have it.

        Raises:
            PartitionRevoked: the partition is not this worker's.
            EmitFailed: the broker did not acknowledge; whether the changelog has it is unknown.
        """
        part = self._part(partition)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.add_done_callback(_retrieve)
        sent = await self.app.send_record(self.changelog_topic_name, key, value, None, partition)
        # in the future's own callback, for these are called in the order of the offsets
        sent.add_done_callback(partial(self._acknowledged, partition, part, (key, value), written))
        await asyncio.wait({written}, timeout=self.app.settings.emit_timeout)
        if not written.done():
            raise EmitFailed(f"{self.changelog_topic_name}/{partition}: no acknowledgement in time")
        written.result()

    def items(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:  # type: ignore[override, unused-ignore]  # not a mapping
        """Key and value of all whose key begins with ``prefix``, in order of the key.

        Raises:
            PartitionRevoked: the partition is not this worker's, or was revoked while this was read.
        """
        return self._read(partition, self._part(partition), prefix)

    def _read(self, partition: int, part: Part, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for item in part.items(prefix):
            yield item
            if self._ready.get(partition) is not part:
                raise PartitionRevoked(f"{self.changelog_topic_name}/{partition} was revoked while it was read")

    def _part(self, partition: int) -> Part:
        try:
            return self._ready[partition]
        except KeyError:
            raise PartitionRevoked(f"{self.changelog_topic_name}/{partition} is not this worker's") from None

    def _acknowledged(
        self,
        partition: int,
        part: Part,
        change: tuple[bytes, bytes | None],
        written: asyncio.Future[None],
        sent: asyncio.Future[Any],
    ) -> None:
        try:
            offset: int = sent.result().offset
            if self._ready.get(partition) is part:
                self._write(part, change, offset)
            written.set_result(None)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - handed to the one who waits
            written.set_exception(EmitFailed(f"{self.changelog_topic_name}/{partition}: {exc!r}"))

    @staticmethod
    def _write(part: Part, change: tuple[bytes, bytes | None], offset: int) -> None:
        """Write locally, but never before or beyond what the part knows.

        A record at or before its offset was read in recovery already. One that does not adjoin it follows a record
        of somebody else (a worker that was believed dead): the offset stays, so that the next recovery reads that too.
        """
        if offset == part.offset + 1:
            part.write((change,), offset)
        elif offset > part.offset:
            part.write((change,), part.offset)

    def entries(self) -> int:
        """How many there are in the parts that may be used; an estimate."""
        return sum(part.count() for part in self._ready.values())

    # what Faust's recovery and the app use

    async def on_recovery_completed(self, active_tps: set[TP], _standby_tps: set[TP]) -> None:
        """Faust has read the changelog: the parts may be used."""
        highwaters = self.app.tables.recovery.active_highwaters
        for tp in active_tps:
            part = self.data.part(tp.partition)
            # compaction may have left nothing at the end to apply
            reached = max(part.offset, highwaters.get(tp, -1))
            if reached > part.offset:
                part.write((), reached)
            self._ready[tp.partition] = part
        await self.call_recover_callbacks()

    def surrender(self) -> None:
        """Nothing may be read or written until the next recovery; what is in flight is not written locally."""
        self._ready.clear()

    def discard_partition(self, partition: int) -> None:
        """Forget what is stored locally of a partition."""
        self.data.discard(partition)

    async def on_stop(self) -> None:
        """Let go of the parts before their databases are closed."""
        self.surrender()
        await super().on_stop()


def _retrieve(written: asyncio.Future[None]) -> None:
    """Of a failure after the time-out nobody asks any more, and asyncio need not complain."""
    if not written.cancelled():
        written.exception()
