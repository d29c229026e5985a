"""When the line is done with what stands in its topics."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from watson.agents.publish import publish
from watson.agents.topics import create_topics
from watson.audit.ends import ROLES_IN_ORDER, NotDoneInTimeError, to_go, until_worked_on
from watson.events import CHAIN, TOPICS, JobCancelled
from watson.settings import Settings

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def offset(number: int) -> OffsetAndMetadata:
    return OffsetAndMetadata(number, "")


def test_what_was_not_committed_is_to_go():
    assert to_go({A: 0, B: 0}, {A: 5, B: 3}, {A: offset(4), B: offset(3)}) == 1


def test_a_group_that_never_committed_has_all_that_is_there_before_it():
    assert to_go({A: 2}, {A: 5}, {}) == 3
    assert to_go({A: 2}, {A: 5}, {A: offset(-1)}) == 3
    assert to_go({A: 0}, {A: 0}, {A: offset(-1)}) == 0


def test_a_group_that_went_on_since_the_ends_were_read_is_done():
    assert to_go({A: 0}, {A: 5}, {A: offset(9)}) == 0


def test_roles_are_waited_for_in_the_order_of_the_chain_and_the_projection_for_every_topic():
    *line, last = ROLES_IN_ORDER.items()
    assert [topics[0] for _, topics in line] == ["manifests", *CHAIN[:-1]]
    assert last == ("project", tuple(TOPICS))


@pytest.mark.services
async def test_it_waits_until_each_role_has_committed_and_names_the_one_that_has_not(kafka, topic_prefix):
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    await publish(settings, [JobCancelled(job="j")])
    clock = asyncio.get_running_loop().time
    with pytest.raises(NotDoneInTimeError, match="discover has 1 events to go"):
        await until_worked_on(settings, clock() + 0.5, lambda _line: None)

    async def commit(role: str) -> None:
        place = TopicPartition(settings.topic("manifests"), 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.brokers, group_id=settings.topic(f"watson-{role}"), enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.commit({place: 1})
        finally:
            await consumer.stop()

    await commit("discover")
    with pytest.raises(NotDoneInTimeError, match="project has 1 events to go"):
        await until_worked_on(settings, clock() + 0.5, lambda _line: None)
    waiting = asyncio.create_task(until_worked_on(settings, clock() + 30, lambda _line: None))
    await commit("project")
    await waiting
