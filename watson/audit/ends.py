"""Waits until the line has worked on all that stands in its topics now: by the offsets that each role has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from watson.audit.check import Say
from watson.errors import BrokerUnavailable, UserError
from watson.events import TOPICS
from watson.settings import Settings

__all__ = ["ROLES_IN_ORDER", "NotDoneInTimeError", "to_go", "until_worked_on"]

ROLES_IN_ORDER: dict[str, tuple[str, ...]] = {
    "discover": ("manifests",),
    "preprocess": ("image-discovered",),
    "segment": ("preprocessed",),
    "catalogue": ("segmented",),
    "project": tuple(TOPICS),
}
"""Which topics each role must have worked on, in the order in which one's work becomes the next one's."""

_POLL_SECONDS = 0.3
_SAID_SECONDS = 5.0


class NotDoneInTimeError(Exception):
    """The time was up; the message says who has how much to go."""


async def until_worked_on(settings: Settings, deadline: float, say: Say) -> None:
    """Wait for each role in turn. A role acknowledges what it has emitted or written, so what follows from it is there.

    Args:
        settings: where the broker is.
        deadline: on the event loop's clock.
        say: called now and then with what is waited for.

    Raises:
        NotDoneInTimeError: the time was up.
        BrokerUnavailable: no broker answers.
        UserError: the broker does not say how far a role is.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers, request_timeout_ms=_milliseconds(settings))
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.brokers, request_timeout_ms=_milliseconds(settings))
    try:
        await admin.start()
        await consumer.start()
        for role, topics in ROLES_IN_ORDER.items():
            await _role(settings, admin, consumer, role, topics, deadline, say)
    except KafkaConnectionError as exc:
        raise BrokerUnavailable(f"no Kafka broker answers at {settings.brokers}: {exc}") from exc
    except KafkaError as exc:
        raise UserError(f"the broker at {settings.brokers} does not say how far the line is: {exc!r}") from exc
    finally:
        await consumer.stop()
        await admin.close()


async def _role(
    settings: Settings,
    admin: AIOKafkaAdminClient,
    consumer: AIOKafkaConsumer,
    role: str,
    topics: Sequence[str],
    deadline: float,
    say: Say,
) -> None:
    places = [TopicPartition(settings.topic(topic), part) for topic in topics for part in range(settings.partitions)]
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    clock = asyncio.get_running_loop().time
    said = clock()
    while True:
        try:
            committed = await admin.list_consumer_group_offsets(settings.topic(f"watson-{role}"), partitions=places)
            left = to_go(begins, ends, committed)
        except KafkaError as exc:
            if not exc.retriable:
                raise
            left = 1  # not known for the moment: the group's coordinator moves, or the broker starts
        if not left:
            return
        if clock() >= deadline:
            raise NotDoneInTimeError(f"{role} has {left} events to go: is a {role} worker running?")
        if clock() - said >= _SAID_SECONDS:
            said = clock()
            say(f"waiting for {role}: {left} events to go")
        await asyncio.sleep(_POLL_SECONDS)


def to_go(
    begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], committed: Mapping[TopicPartition, Any]
) -> int:
    """Records between what was committed and the ends. A group that never committed has all that is there before it."""
    left = 0
    for place, end in ends.items():
        done = committed[place].offset if place in committed else -1  # -1: nothing was committed
        left += max(0, end - max(done, begins[place]))
    return left


def _milliseconds(settings: Settings) -> int:
    return int(settings.request_timeout * 1000)
