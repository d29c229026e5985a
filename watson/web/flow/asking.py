"""Asks Kafka who works and how far each group is. Keeps its connections; after a failure it connects anew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, for_code
from aiokafka.protocol.group import MemberAssignment

from watson.agents.topics import INPUTS
from watson.agents.transport.options import app_id
from watson.errors import WatsonError
from watson.settings import Settings
from watson.web.flow.reading import GroupReading, TopicLag, Worker, worker_name

__all__ = ["LogUnreadable", "LogWatch"]

_REQUEST_SECONDS = 5.0
_READ_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_UNKNOWN_GROUP = 69
"""Source: Kafka protocol, error codes: GROUP_ID_NOT_FOUND, what newer brokers say of a group that never was."""

_Places = dict[TopicPartition, int]


class LogUnreadable(WatsonError):  # noqa: N818 - named for what happened
    """Kafka does not answer, or not as it should. Says where, and why."""


class LogWatch:
    """Reads all groups of the line. Not for use by two tasks at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._coordinators: dict[str, int] = {}
        names = sorted({topic for topics in INPUTS.values() for topic in topics})
        self._places = {name: self._places_of(name) for name in names}

    async def read(self) -> tuple[GroupReading, ...]:
        """Each role's group, in the order of the chain.

        Raises:
            LogUnreadable: Kafka did not answer within ten seconds, or refused.
        """
        try:
            async with asyncio.timeout(_READ_SECONDS):
                admin, consumer = await self._connected()
                ends: _Places = await consumer.end_offsets([place for some in self._places.values() for place in some])
                return tuple([await self._group(admin, consumer, role, ends) for role in INPUTS])
        except TimeoutError as exc:
            await self.close()
            raise LogUnreadable(f"Kafka at {self._settings.brokers} did not answer within {_READ_SECONDS:g} s") from exc
        # a broker of another make may answer what aiokafka cannot take apart, which it reports in several ways
        except (KafkaError, OSError, ValueError, AttributeError, AssertionError) as exc:
            await self.close()
            away = isinstance(exc, (KafkaConnectionError, OSError))
            what = "cannot be reached" if away else "does not tell of the groups"
            raise LogUnreadable(f"Kafka {what} at {self._settings.brokers}: {str(exc) or repr(exc)}") from exc
        except Exception:  # a defect: the next try begins with connections that are whole
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connections; `read` makes new ones."""
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        self._coordinators.clear()
        for close in (admin and admin.close, consumer and consumer.stop):
            if close:
                with suppress(KafkaError, OSError, TimeoutError):  # they are given up either way
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await close()

    async def _connected(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        options: dict[str, Any] = {
            "bootstrap_servers": self._settings.brokers,
            "request_timeout_ms": int(_REQUEST_SECONDS * 1000),
            "client_id": "watson-web",
        }
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**options)
            await self._admin.start()
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
            await self._consumer.start()
        return self._admin, self._consumer

    async def _group(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, role: str, ends: _Places
    ) -> GroupReading:
        group = app_id(role, self._settings)
        if group not in self._coordinators:
            self._coordinators[group] = await admin.find_coordinator(group)
        coordinator = self._coordinators[group]
        # One group a request: aiokafka 0.14 reads an answer with several wrongly (it declares version 3, which has a
        # field more a group, and takes it apart as version 2).
        (answer,) = await admin.describe_consumer_groups([group], coordinator)
        state, workers = self._members(answer, role)
        # The places are named: Tansu closes the connection where all are asked for.
        places = [place for name in INPUTS[role] for place in self._places[name]]
        stored = await admin.list_consumer_group_offsets(group, coordinator, places)
        committed = {place: offset.offset for place, offset in stored.items() if offset.offset >= 0}
        begun = committed | await _beginnings(consumer, ends, set(places) - committed.keys())
        return GroupReading(role, state, workers, tuple(self._lag(name, ends, begun) for name in INPUTS[role]))

    def _members(self, answer: Any, role: str) -> tuple[str, tuple[Worker, ...]]:
        ((code, _group, state, _protocol_type, _protocol, members, *_),) = answer.groups
        if code == _UNKNOWN_GROUP:
            return "Dead", ()
        if code:
            raise for_code(code)(f"the group of role {role} cannot be described")
        consumed = {self._settings.topic(name) for name in INPUTS[role]}
        workers = [
            Worker(worker_name(member, client), host.removeprefix("/"), _partitions(assignment, consumed))
            for member, client, host, _metadata, assignment, *_ in members
        ]
        return state, tuple(sorted(workers, key=lambda worker: (worker.partitions or (), worker.name)))

    def _lag(self, name: str, ends: Mapping[TopicPartition, int], begun: Mapping[TopicPartition, int]) -> TopicLag:
        places = self._places[name]
        return TopicLag(
            topic=name,
            ends=tuple(ends[place] for place in places),
            lags=tuple(max(0, ends[place] - begun.get(place, ends[place])) for place in places),
        )

    def _places_of(self, name: str) -> list[TopicPartition]:
        full = self._settings.topic(name)
        return [TopicPartition(full, partition) for partition in range(self._settings.partitions)]


async def _beginnings(consumer: AIOKafkaConsumer, ends: _Places, places: set[TopicPartition]) -> _Places:
    """Where a group that has committed nothing begins: what was deleted since is not waiting."""
    filled = [place for place in places if ends[place] > 0]
    return dict(await consumer.beginning_offsets(filled)) if filled else {}


def _partitions(assignment: bytes | None, consumed: set[str]) -> tuple[int, ...] | None:
    if not assignment:
        return None
    topics = MemberAssignment.decode(assignment).assignment
    return tuple(sorted({partition for topic, some in topics if topic in consumed for partition in some}))
