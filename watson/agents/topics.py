"""Creates Watson's topics in Kafka, and checks that they are as the code needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import stamina
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from watson.errors import BrokerUnavailable, UserError
from watson.events import CHAIN, TOPICS
from watson.settings import Settings

__all__ = ["CHANGELOGS", "INPUTS", "changelog_topic", "create_topics", "verify_topics"]

log = structlog.get_logger(__name__)

CHANGELOGS: tuple[tuple[str, str], ...] = (
    ("discover", "images"),
    ("discover", "jobs"),
    ("preprocess", "marks"),
    ("segment", "marks"),
    ("catalogue", "marks"),
    ("project", "marks"),
    ("train", "marks"),
)
"""Role and table: the one list of mark tables."""

INPUTS: dict[str, tuple[str, ...]] = {
    "discover": ("manifests", "jobs", *CHAIN, "dead-letters"),
    "preprocess": ("image-discovered",),
    "segment": ("preprocessed",),
    "catalogue": ("segmented",),
    "project": tuple(TOPICS),
    "train": ("trainings",),
}
"""Role and the topics that it consumes, in the order of the chain."""

_CHANGELOG_CONFIG = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.3",
    "delete.retention.ms": str(86_400_000),  # a worker that was away for less than a day still sees deletions
}

_MIN_INSYNC = "min.insync.replicas"
_UNCLEAN = "unclean.leader.election.enable"

_VISIBLE_SECONDS = 30.0
_PATIENCE_SECONDS = 3.0
_POLL_SECONDS = 0.2
_BACKOFF_MAX_SECONDS = 5.0


def changelog_topic(role: str, table: str, settings: Settings) -> str:
    """The full name of a table's changelog, as Faust derives it from the app's id and the table's name."""
    return settings.topic(f"watson-{role}-{table}-changelog")


def _wanted(settings: Settings) -> dict[str, dict[str, str]]:
    """Configuration by full name of the topic."""
    events = {settings.topic(spec.name): spec.config for spec in TOPICS.values()}
    changelogs = {changelog_topic(role, table, settings): _CHANGELOG_CONFIG for role, table in CHANGELOGS}
    return {name: config | _safe(settings) for name, config in (events | changelogs).items()}


def _safe(settings: Settings) -> dict[str, str]:
    """What keeps an acknowledged record when a broker is lost: all replicas but one have it, and only they may lead."""
    return {_MIN_INSYNC: str(max(1, settings.replication - 1)), _UNCLEAN: "false"}


async def create_topics(settings: Settings) -> list[str]:
    """Create what is missing; returns the names of the topics made, when the broker shows them all.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the broker refuses, or a topic exists with another number of partitions.
    """
    wanted = _wanted(settings)
    admin = await _connect(settings)
    try:
        missing = sorted(wanted.keys() - (await _partitions(admin)).keys())
        if missing:
            await _create(admin, settings, {name: wanted[name] for name in missing})
        await _until_visible(admin, settings, wanted, _VISIBLE_SECONDS)
    except KafkaError as exc:
        raise UserError(f"the broker at {settings.brokers} did not make the topics: {exc!r}") from exc
    finally:
        await admin.close()
    return missing


async def verify_topics(settings: Settings, names: Iterable[str] | None = None) -> None:
    """Check that topics exist with the right number of partitions.

    Of all of Watson's (a worker's start) it also says which ones could lose what was acknowledged; that is a warning,
    for a cluster's operator may have reasons.

    Args:
        settings: how many partitions, and where the broker is.
        names: full names; all of Watson's where None.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: names each topic that is missing or has another number of partitions.
    """
    expected = set(_wanted(settings) if names is None else names)
    admin = await _connect(settings)
    try:
        await _until_visible(admin, settings, expected, _PATIENCE_SECONDS)
        if names is None:
            await _warn_of_unsafe(admin, settings, expected)
    finally:
        await admin.close()


def _check(expected: set[str], there: dict[str, int], settings: Settings) -> None:
    missing = sorted(expected - there.keys())
    if missing:
        raise UserError(
            f"topics are missing on the broker at {settings.brokers}: {', '.join(missing)}. "
            "Run `watson topics create` (WATSON_TOPIC_PREFIX must be the same for all)."
        )
    odd = sorted(name for name in expected if there[name] != settings.partitions)
    if odd:
        counts = ", ".join(f"{name} has {there[name]}" for name in odd)
        raise UserError(
            f"topics must have {settings.partitions} partitions (WATSON_PARTITIONS), but {counts}. "
            "Set WATSON_PARTITIONS to what the topics have, or use another WATSON_TOPIC_PREFIX and run "
            "`watson topics create`: the partitions of a topic cannot be changed without losing where each key is."
        )


async def _connect(settings: Settings) -> AIOKafkaAdminClient:
    """An admin client; keeps trying for `Settings.broker_wait` seconds.

    Raises:
        BrokerUnavailable: no broker answered.
    """
    attempts = stamina.retry_context(
        on=(KafkaConnectionError, OSError),
        attempts=None,
        timeout=settings.broker_wait,
        wait_max=_BACKOFF_MAX_SECONDS,
    )
    try:
        async for attempt in attempts:
            with attempt:
                admin = AIOKafkaAdminClient(
                    bootstrap_servers=settings.brokers,
                    request_timeout_ms=int(settings.request_timeout * 1000),
                )
                try:
                    await admin.start()
                except BaseException:
                    await admin.close()
                    raise
                return admin
    except (KafkaConnectionError, OSError) as exc:
        raise BrokerUnavailable(
            f"no Kafka broker answers at {settings.brokers} (tried for {settings.broker_wait:g} s): "
            "is it running, and is WATSON_BROKERS right?"
        ) from exc
    raise AssertionError("unreachable: the attempts end by returning or raising")


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Number of partitions by topic."""
    described: list[dict[str, Any]] = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}


async def _create(admin: AIOKafkaAdminClient, settings: Settings, configs: dict[str, dict[str, str]]) -> None:
    topics = [
        NewTopic(name, settings.partitions, settings.replication, topic_configs=config)
        for name, config in configs.items()
    ]
    try:
        response = await admin.create_topics(topics, timeout_ms=int(_VISIBLE_SECONDS * 1000))
    except TopicAlreadyExistsError:  # somebody else makes them too
        return
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise UserError(f"topic {name} could not be made: {error.__name__} {message[0] if message else ''}".strip())


async def _until_visible(admin: AIOKafkaAdminClient, settings: Settings, wanted: Iterable[str], seconds: float) -> None:
    """Brokers show a topic a moment after it was made."""
    deadline = asyncio.get_running_loop().time() + seconds
    names = set(wanted)
    while True:
        there = await _partitions(admin)
        if names <= there.keys() or asyncio.get_running_loop().time() > deadline:
            _check(names, there, settings)
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _warn_of_unsafe(admin: AIOKafkaAdminClient, settings: Settings, names: Iterable[str]) -> None:
    wanted = _safe(settings)
    unsafe: dict[str, dict[str, str]] = {}
    for name, config in (await _configs(admin, sorted(names))).items():
        odd = {key: config[key] for key in wanted if key in config and not _as_safe(key, config[key], wanted[key])}
        if odd:
            unsafe[name] = odd
    if unsafe:
        log.warning(
            "topics may lose acknowledged records where a broker is lost: set them as wanted with kafka-configs.sh, or "
            "set WATSON_REPLICATION to what the topics have",
            topics=unsafe,
            wanted=wanted,
        )


def _as_safe(key: str, there: str, wanted: str) -> bool:
    if key == _MIN_INSYNC:
        return not there.isdecimal() or int(there) >= int(wanted)
    return there == wanted


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Configuration by topic, of those that the broker tells of: not every broker and not every user's rights do."""
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except (KafkaError, NotImplementedError) as exc:
        log.debug("the broker does not tell how topics are configured", why=repr(exc))
        return {}
    return {
        name: {entry[0]: entry[1] for entry in entries if entry[1] is not None}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if not code
    }
