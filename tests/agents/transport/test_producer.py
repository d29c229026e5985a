"""Correction o: flushing, and records that fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, NotLeaderForPartitionError
from faust.exceptions import ProducerSendError

from tests.agents.transport.kit import Kind, both, eventually, transport_app
from watson.errors import EmitFailed, RecordTooLarge


@both
async def test_o_a_flush_ends_when_everything_was_sent_and_not_before(kind: Kind, tmp_path: Path) -> None:
    producer = kind.producer(kind.app(tmp_path).transport)
    sent = asyncio.Event()

    class SlowTopic:
        async def publish_message(self, _fut: Any, wait: bool) -> None:
            await asyncio.sleep(0.4)  # longer than stock's 0.1 s
            sent.set()

    await producer.buffer.start()
    try:
        producer.buffer.put(SimpleNamespace(message=SimpleNamespace(channel=SlowTopic())))
        await producer.flush()
        assert sent.is_set()
    finally:
        await producer.buffer.stop()


@both
async def test_o_a_record_that_failed_for_good_ends_the_worker(kind: Kind, tmp_path: Path) -> None:
    app = kind.app(tmp_path)
    app._started.set()
    app.sensors.on_send_error(None, NotLeaderForPartitionError(), dict.fromkeys(app.sensors))
    await asyncio.sleep(0.05)
    assert app.crashed


@pytest.mark.parametrize("idempotent", [True, False])
async def test_every_replica_acknowledges_and_idempotence_is_a_setting(tmp_path: Path, idempotent: bool) -> None:
    producer = transport_app(tmp_path, idempotent_producer=idempotent).producer
    assert producer._settings_extra() == {"acks": "all", "enable_idempotence": idempotent}


class _Sending:
    """A producer whose broker answers as told."""

    def __init__(self, answer: asyncio.Future[Any] | Exception) -> None:
        self._answer = answer

    async def send(self, *_: Any) -> asyncio.Future[Any]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def test_emit_has_a_limit(tmp_path: Path) -> None:
    app = transport_app(tmp_path, emit_timeout=0.1)
    app._producer = _Sending(asyncio.get_running_loop().create_future())
    with pytest.raises(EmitFailed, match=r"segmented: not acknowledged within 0\.1 s"):
        await app.emit("segmented", b"k", b"v", [])


async def test_emit_returns_when_the_broker_has_acknowledged(tmp_path: Path) -> None:
    app = transport_app(tmp_path)
    answer = asyncio.get_running_loop().create_future()
    app._producer = _Sending(answer)
    emitting = asyncio.create_task(app.emit("segmented", b"k", b"v", []))
    await asyncio.sleep(0.02)
    assert not emitting.done()
    answer.set_result("metadata")
    await eventually(emitting.done)
    assert emitting.result() == "metadata"


async def test_a_record_that_is_too_large_is_told_apart(tmp_path: Path) -> None:
    app = transport_app(tmp_path)
    failed = ProducerSendError("wrapped")
    failed.__cause__ = MessageSizeTooLargeError("2 MB")
    app._producer = _Sending(failed)
    with pytest.raises(RecordTooLarge, match="2 MB"):
        await app.emit("segmented", b"k", b"v", [])


async def test_emit_before_the_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(EmitFailed, match="not yet started"):
        await transport_app(tmp_path).emit("segmented", b"k", b"v", [])
