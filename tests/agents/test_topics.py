"""Topics on real brokers: Kafka, and the embedded one."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from tests.services import KafkaEndpoint
from watson.agents.topics import CHANGELOGS, INPUTS, _wanted, changelog_topic, create_topics, verify_topics
from watson.errors import BrokerUnavailable, UserError
from watson.events import TOPICS
from watson.settings import Settings
from watson.stages.catalogue import CatalogueStage
from watson.stages.preprocess import PreprocessStage
from watson.stages.segment import SegmentStage
from watson.worker import ROLES


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(params=["kafka", pytest.param("tansu", id="embedded")])
def brokers(request: pytest.FixtureRequest) -> str:
    server = request.getfixturevalue(request.param)
    return server.brokers if isinstance(server, KafkaEndpoint) else server


pytestmark = pytest.mark.services


def _all(settings: Settings) -> set[str]:
    changelogs = {changelog_topic(role, table, settings) for role, table in CHANGELOGS}
    return {settings.topic(name) for name in TOPICS} | changelogs


async def test_what_is_missing_is_made_and_then_found_right(brokers: str, topic_prefix: str) -> None:
    settings = Settings(brokers=brokers, topic_prefix=topic_prefix, partitions=3)
    assert set(await create_topics(settings)) == _all(settings)
    assert await create_topics(settings) == []
    await verify_topics(settings)


async def test_missing_topics_are_named(brokers: str, topic_prefix: str) -> None:
    settings = Settings(brokers=brokers, topic_prefix=topic_prefix)
    with pytest.raises(UserError, match=rf"missing .*{topic_prefix}segmented.*watson topics create"):
        await verify_topics(settings)


async def test_another_number_of_partitions_is_named(brokers: str, topic_prefix: str) -> None:
    settings = Settings(brokers=brokers, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    more = settings.model_copy(update={"partitions": 5})
    with pytest.raises(UserError, match=rf"must have 5 partitions .*{topic_prefix}models has 2"):
        await verify_topics(more)
    with pytest.raises(UserError, match="must have 5 partitions"):
        await create_topics(more)


async def test_only_the_topics_asked_for_are_verified(kafka: KafkaEndpoint, topic_prefix: str) -> None:
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=2)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.brokers)
    await admin.start()
    await admin.create_topics([NewTopic(f"{topic_prefix}mine", 2, 1)])
    await admin.close()
    await verify_topics(settings, [f"{topic_prefix}mine"])
    with pytest.raises(UserError, match="other"):
        await verify_topics(settings, [f"{topic_prefix}mine", f"{topic_prefix}other"])


async def configs(settings: Settings) -> dict[str, dict[str, str]]:
    """What the broker says of each topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        found = {}
        for name in _all(settings):
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
            found[name] = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        return found
    finally:
        await admin.close()


async def test_changelogs_and_models_are_compacted_and_nothing_else_expires(
    kafka: KafkaEndpoint, topic_prefix: str
) -> None:
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    compacted = {settings.topic("models")} | {changelog_topic(role, table, settings) for role, table in CHANGELOGS}
    for name, config in (await configs(settings)).items():
        assert config["cleanup.policy"] == ("compact" if name in compacted else "delete")
        if name not in compacted:
            assert (config["retention.ms"], config["retention.bytes"]) == ("-1", "-1")


async def test_no_broker_that_lacks_records_may_lead_and_with_one_replica_one_has_them(
    kafka: KafkaEndpoint, topic_prefix: str
) -> None:
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1, replication=1)
    await create_topics(settings)
    said = await configs(settings)
    assert {config["min.insync.replicas"] for config in said.values()} == {"1"}
    assert {config["unclean.leader.election.enable"] for config in said.values()} == {"false"}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.brokers)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topic("segmented"))])
    await admin.close()
    topics_own = 1  # DYNAMIC_TOPIC_CONFIG: stated by the topic, whatever the broker's default is or becomes
    sources = {entry[0]: entry[3] for entry in answer.resources[0][4]}
    for key in ("min.insync.replicas", "unclean.leader.election.enable", "retention.bytes", "retention.ms"):
        assert sources[key] == topics_own


@pytest.mark.parametrize(("replication", "least"), [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_all_replicas_but_one_have_what_is_acknowledged(replication: int, least: str) -> None:
    configs = _wanted(Settings(replication=replication))
    assert configs.keys() == _all(Settings())
    assert {config["min.insync.replicas"] for config in configs.values()} == {least}


async def test_a_worker_is_told_which_topics_are_less_safe_than_its_settings_ask_for(
    kafka: KafkaEndpoint, topic_prefix: str
) -> None:
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1, replication=1)
    await create_topics(settings)
    with capture_logs() as logs:
        await verify_topics(settings)
        await verify_topics(settings.model_copy(update={"replication": 3}), [settings.topic("models")])
    assert logs == []
    with capture_logs() as logs:
        await verify_topics(settings.model_copy(update={"replication": 3}))
    (entry,) = logs
    assert entry["log_level"] == "warning"
    assert entry["topics"] == {name: {"min.insync.replicas": "1"} for name in _all(settings)}
    assert entry["wanted"]["min.insync.replicas"] == "2"


async def test_a_broker_that_does_not_tell_how_topics_are_configured_is_no_obstacle(
    tansu: str, topic_prefix: str
) -> None:
    settings = Settings(brokers=tansu, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    await verify_topics(settings.model_copy(update={"replication": 3}))


async def test_a_broker_that_is_away_is_tried_for_a_while_and_then_named() -> None:
    settings = Settings(brokers=f"127.0.0.1:{_free_port()}", broker_wait=1.5)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=rf"{settings.brokers} \(tried for 1\.5 s\).*WATSON_BROKERS"):
        await verify_topics(settings)
    assert 1 < time.monotonic() - began < 10


def test_every_role_that_consumes_is_in_the_table_of_inputs() -> None:
    assert {*INPUTS, "web"} == set(ROLES)
    assert all(name in TOPICS for names in INPUTS.values() for name in names)


@pytest.mark.parametrize("stage", [PreprocessStage, SegmentStage, CatalogueStage])
def test_a_stage_of_the_chain_consumes_what_it_accepts(stage: Any) -> None:
    assert INPUTS[stage.name] == (stage.accepts.topic,)
