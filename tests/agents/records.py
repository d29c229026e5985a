"""Records that no well-behaved client would send, sent all the same."""

from __future__ import annotations

import struct
from typing import Any

import aiokafka.producer.message_accumulator as accumulator
import pytest
from aiokafka.record.util import calc_crc32c

MARKED, NOT_TEXT = "NOT-TEXT", b"\xff\xfeT-TEXT"
"""A name that a header is given, and the bytes of the same length that then stand in its place on the wire."""

_CRC_AT, _CRC_FROM = 17, 21  # Source: Kafka's record batch format, version 2


def send_header_names_that_are_not_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, producers of this test put `NOT_TEXT` where a header is called `MARKED`, as a client in C might."""
    build = accumulator.BatchBuilder._build

    def changed(self: Any) -> Any:
        data = bytes(build(self))
        if MARKED.encode() in data:
            batch = bytearray(data.replace(MARKED.encode(), NOT_TEXT))
            struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(memoryview(batch)[_CRC_FROM:]))
            self._buffer = batch
        return self._buffer

    monkeypatch.setattr(accumulator.BatchBuilder, "_build", changed)
