"""Faust's settings, made from Watson's."""

from __future__ import annotations

from typing import Any

from watson.settings import Settings

__all__ = ["app_id", "faust_options"]

_COMMIT_SECONDS = 1.0
_BUFFERED_EVENTS = 512
"""Events of a few KB that wait between the fetcher and the loop, and changelog records in recovery."""

_FETCH_BYTES = 128 << 10
"""Of one partition of one topic at once. Each is fetched ahead and taken apart as a whole, at three times its size in
memory: with the 1 MB of Kafka's default, a `project` worker of 64 partitions and 8 topics would hold 1.5 GB of a long
queue. A larger event still comes, alone."""


def app_id(role: str, settings: Settings) -> str:
    """Name of the Faust app and of its consumer group."""
    return settings.topic(f"watson-{role}")


def faust_options(role: str, settings: Settings) -> dict[str, Any]:
    """What `faust.App` is told. `docs/faust-corrections.md` gives the reasons."""
    return {
        "broker": settings.broker_urls,
        "autodiscover": False,
        "origin": None,
        **_storage(role, settings),
        **_consumer(settings),
        **_producer(settings),
        **_web(settings),
    }


def _storage(role: str, settings: Settings) -> dict[str, Any]:
    return {
        "store": f"{settings.table_store}://",
        # a directory a role: two roles may have tables of the same name
        "datadir": str((settings.state_dir / role).absolute()),
        "table_standby_replicas": 0,
        "topic_allow_declare": False,  # `watson topics create` makes them, with the right number of partitions
        "topic_disable_leader": True,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication,
    }


def _consumer(settings: Settings) -> dict[str, Any]:
    return {
        "processing_guarantee": "at_least_once",
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": settings.group_instance_id,
        "broker_session_timeout": settings.session_timeout,
        "broker_heartbeat_interval": settings.heartbeat_interval,
        "broker_request_timeout": settings.request_timeout,
        "broker_rebalance_timeout": settings.rebalance_timeout,
        "broker_commit_interval": _COMMIT_SECONDS,
        "stream_buffer_maxsize": _BUFFERED_EVENTS,
        "consumer_max_fetch_size": _FETCH_BYTES,
        "stream_wait_empty": True,  # safe only because the corrected consumer bounds it
        "stream_publish_on_commit": False,
        "agent_supervisor": "mode.CrashingSupervisor",  # an agent that raises ends the worker, uncommitted
    }


def _producer(settings: Settings) -> dict[str, Any]:
    return {
        "producer_acks": -1,
        "producer_max_batch_size": settings.max_batch_size,
        "producer_request_timeout": settings.request_timeout,
        "producer_threaded": False,
    }


def _web(settings: Settings) -> dict[str, Any]:
    return {
        "web_enabled": settings.web_port != 0,  # 0: no web server
        "web_bind": settings.web_host,
        "web_host": settings.web_host,
        "web_port": settings.web_port or 6066,
        "web_in_thread": False,
        # what Faust would serve to anybody who asks
        "web_tables_enabled": False,
        "web_router_enabled": False,
        "web_stats_enabled": False,
        "web_graph_enabled": False,
        "web_metrics_enabled": False,
    }
