"""Correction h and the rest of the mark table's promises, with a broker that answers when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP

from tests.agents.transport.kit import message, transport_app
from watson.agents.transport import MarkTable, TransportApp
from watson.errors import EmitFailed, PartitionRevoked, UserError

CHANGELOG = "watson-preprocess-marks-changelog"


class Broker:
    """Takes records and acknowledges them when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes | None, int, asyncio.Future[Any]]] = []

    async def send(self, _topic: str, key: bytes, value: bytes | None, partition: int, *_: Any) -> asyncio.Future[Any]:
        self.sent.append((key, value, partition, asyncio.get_running_loop().create_future()))
        return self.sent[-1][3]

    def acknowledge(self, offset: int, index: int = 0) -> None:
        self.sent.pop(index)[3].set_result(SimpleNamespace(offset=offset))


@pytest.fixture(params=["memory", "rocksdb"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MarkTable]:
    app = transport_app(tmp_path, table_store=request.param, emit_timeout=0.3)
    marks = app.mark_table("marks", source="image-discovered")
    app._producer = Broker()
    await own(marks, 0, 1)
    yield marks
    await marks.data.stop()


async def own(table: MarkTable, *partitions: int, ends: dict[int, int] | None = None) -> None:
    """As a rebalance and an empty recovery leave it."""
    tps = {TP(CHANGELOG, partition) for partition in partitions}
    lost = {TP(CHANGELOG, partition) for partition in table.data._parts} - tps
    await table.on_rebalance(tps, lost, tps, 1)
    for partition, end in (ends or {}).items():
        table.app.tables.recovery.active_highwaters[TP(CHANGELOG, partition)] = end
    await table.on_recovery_completed(tps, set())


async def putting(table: MarkTable, partition: int, key: bytes, value: bytes | None) -> asyncio.Task[None]:
    task = asyncio.create_task(table.put(partition, key, value))
    await asyncio.sleep(0.01)
    return task


def broker(table: MarkTable) -> Broker:
    found = table.app._producer
    assert isinstance(found, Broker)
    return found


async def test_h_a_mark_is_local_only_when_the_changelog_has_it(table: MarkTable) -> None:
    task = await putting(table, 0, b"k", b"v")
    assert table.get(0, b"k") is None
    broker(table).acknowledge(0)
    await task
    assert table.get(0, b"k") == b"v"
    assert table.persisted_offset(TP(CHANGELOG, 0)) == 0


async def test_h_stock_has_the_mark_before_the_changelog_does(tmp_path: Path) -> None:
    app = faust.App("stock", broker="kafka://127.0.0.1:1", store="memory://", datadir=str(tmp_path))
    stock = app.Table("marks", key_type=bytes, value_type=bytes, use_partitioner=True)
    app.producer.key_partition = lambda topic, _key: TP(topic, 0)
    stock[b"k"] = b"v"
    assert app.producer.buffer.size == 1, "nothing was sent yet"
    assert stock[b"k"] == b"v"


async def test_a_mark_that_was_not_acknowledged_is_not_there(table: MarkTable) -> None:
    task = await putting(table, 0, b"k", b"v")
    broker(table).sent[0][3].set_exception(TimeoutError("gone"))
    with pytest.raises(EmitFailed, match="gone"):
        await task
    assert table.get(0, b"k") is None
    assert table.persisted_offset(TP(CHANGELOG, 0)) is None


async def test_put_has_a_limit_and_a_late_acknowledgement_still_counts(table: MarkTable) -> None:
    with pytest.raises(EmitFailed, match="no acknowledgement in time"):
        await table.put(0, b"k", b"v")
    broker(table).acknowledge(0)
    await asyncio.sleep(0.01)
    assert table.get(0, b"k") == b"v"


async def test_a_mark_whose_writer_was_cancelled_is_still_written_locally(table: MarkTable) -> None:
    task = await putting(table, 0, b"k", b"v")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    broker(table).acknowledge(0)
    await asyncio.sleep(0.01)
    assert table.get(0, b"k") == b"v"


async def test_none_deletes(table: MarkTable) -> None:
    for offset, value in enumerate((b"v", None)):
        task = await putting(table, 0, b"k", value)
        broker(table).acknowledge(offset)
        await task
    assert table.get(0, b"k") is None


async def test_partitions_are_kept_apart(table: MarkTable) -> None:
    task = await putting(table, 1, b"k", b"v")
    broker(table).acknowledge(0)
    await task
    assert (table.get(0, b"k"), list(table.items(0))) == (None, [])
    assert list(table.items(1)) == [(b"k", b"v")]


async def test_a_partition_of_another_worker_can_be_neither_read_nor_written(table: MarkTable) -> None:
    with pytest.raises(PartitionRevoked, match=f"{CHANGELOG}/2 is not this worker's"):
        table.get(2, b"k")
    with pytest.raises(PartitionRevoked):
        table.items(2)
    with pytest.raises(PartitionRevoked):
        await table.put(2, b"k", b"v")
    assert broker(table).sent == []


async def test_a_partition_revoked_meanwhile_is_not_written_locally(table: MarkTable) -> None:
    task = await putting(table, 0, b"k", b"v")
    table.surrender()
    broker(table).acknowledge(0)
    await task  # the changelog has it: the next owner will read it there
    await own(table, 0, 1)
    assert table.get(0, b"k") is None
    assert table.persisted_offset(TP(CHANGELOG, 0)) is None


async def test_reading_ends_when_the_partition_is_revoked(table: MarkTable) -> None:
    for offset, key in enumerate((b"a", b"b")):
        task = await putting(table, 0, key, b"v")
        broker(table).acknowledge(offset)
        await task
    items = table.items(0)
    next(items)
    table.surrender()
    with pytest.raises(PartitionRevoked):
        next(items)


async def test_the_offset_stays_before_a_record_of_somebody_else(table: MarkTable) -> None:
    first, second = await putting(table, 0, b"a", b"1"), await putting(table, 0, b"b", b"2")
    broker(table).acknowledge(0)
    broker(table).acknowledge(2)  # 1 is a zombie's
    await asyncio.gather(first, second)
    assert table.get(0, b"b") == b"2"
    assert table.persisted_offset(TP(CHANGELOG, 0)) == 0, "the next recovery reads from 1 on"


async def test_what_recovery_has_read_is_not_written_again_by_a_late_acknowledgement(table: MarkTable) -> None:
    task = await putting(table, 0, b"k", b"old")
    newer = [SimpleNamespace(message=message_of(0, b"k", b"old")), SimpleNamespace(message=message_of(1, b"k", b"new"))]
    table.apply_changelog_batch(newer)
    broker(table).acknowledge(0)
    await task
    assert table.get(0, b"k") == b"new"


def message_of(offset: int, key: bytes, value: bytes | None, topic: str = CHANGELOG, partition: int = 0) -> Any:
    made = message(offset, TP(topic, partition))
    made.key, made.value = key, value
    return made


async def test_recovery_fills_the_table(table: MarkTable) -> None:
    table.surrender()
    table.apply_changelog_batch(
        SimpleNamespace(message=made)
        for made in (message_of(4, b"a", b"1"), message_of(7, b"b", b"2"), message_of(9, b"a", None))
    )
    await own(table, 0, 1, ends={0: 11})  # 10 and 11 were compacted away
    assert list(table.items(0)) == [(b"b", b"2")]
    task = await putting(table, 0, b"c", b"3")
    broker(table).acknowledge(12)
    await task
    assert table.persisted_offset(TP(CHANGELOG, 0)) == 12


async def test_records_of_other_topics_and_partitions_are_not_applied(table: MarkTable) -> None:
    table.apply_changelog_batch(
        [
            SimpleNamespace(message=message_of(0, b"k", b"v", topic="another-changelog")),
            SimpleNamespace(message=message_of(0, b"k", b"v", partition=3)),
        ]
    )
    assert table.get(0, b"k") is None
    assert set(table.data._parts) == {0, 1}


async def test_a_lost_partition_is_closed_and_one_that_comes_back_is_recovered(table: MarkTable) -> None:
    task = await putting(table, 0, b"k", b"v")
    broker(table).acknowledge(0)
    await task
    table.surrender()
    await own(table, 1)
    assert set(table.data._parts) == {1}
    await own(table, 0, 1)
    on_disk = table.data.url.scheme == "rocksdb"
    assert table.get(0, b"k") == (b"v" if on_disk else None)
    assert table.persisted_offset(TP(CHANGELOG, 0)) == (0 if on_disk else None)


def test_the_changelog_is_named_as_topics_create_names_it(tmp_path: Path) -> None:
    from watson.agents.topics import changelog_topic

    app = transport_app(tmp_path, topic_prefix="p-")
    table = app.mark_table("marks", source="image-discovered")
    assert table.changelog_topic_name == changelog_topic("preprocess", "marks", app.settings)
    assert table.source == "p-image-discovered"


async def test_a_table_whose_source_is_not_consumed_is_refused_at_the_start(tmp_path: Path) -> None:
    app: TransportApp = transport_app(tmp_path)
    app.mark_table("marks", source="image-discovered")
    with pytest.raises(UserError, match="'image-discovered', which role 'preprocess' does not consume"):
        await app.on_start()
