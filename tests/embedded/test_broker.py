from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from watson.embedded.broker import free_ports, running_broker
from watson.embedded.supervisor import ProgramFailed

LISTEN = "0A"  # Source: linux/net/tcp_states.h


def _listening(port: int) -> list[str]:
    """Addresses, as /proc writes them, on which somebody listens on the port."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return [row[1].partition(":")[0] for row in rows if row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port]


async def test_it_serves_on_loopback_alone_and_leaves_no_port_behind(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "broker.log") as broker:
        port = int(broker.address.rpartition(":")[2])
        assert _listening(port) == ["0100007F"]
    assert _listening(port) == []


async def test_a_record_sent_is_read_again(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "broker.log") as broker:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        await admin.create_topics([NewTopic("pictures", 2, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=broker.address, max_batch_size=1)
        await producer.start()
        await producer.send_and_wait("pictures", b"cat", partition=1)
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.address)
        await consumer.start()
        consumer.assign([TopicPartition("pictures", 1)])
        await consumer.seek_to_beginning()
        record = await asyncio.wait_for(consumer.getone(), 20)
        await consumer.stop()
    assert record.value == b"cat"


async def test_each_start_is_an_empty_log(tmp_path: Path) -> None:
    for _ in range(2):
        async with running_broker(tmp_path / "broker.log") as broker:
            admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
            await admin.start()
            assert await admin.list_topics() == []
            await admin.create_topics([NewTopic("pictures", 1, 1)])
            await admin.close()


async def test_its_death_is_told_and_not_mended(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "broker.log") as broker:
        pid = broker._supervisor.pid("broker")
        assert pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ProgramFailed, match="broker ended with signal 9"):
            await asyncio.wait_for(broker.failed(), 20)


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(50))) == 50
