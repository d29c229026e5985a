"""Every metric that Watson exports, in one table: name, kind, unit, labels, meaning.

The declarations below are the table: each makes a prometheus-client object and an entry of `TABLE`. Naming follows
https://prometheus.io/docs/practices/naming/: base units, unit as suffix, counters end in ``_total``.

Labels never carry image keys, event ids, host names or messages: each takes its values from a closed set (`LABELS`), so
the number of series stays bounded however many jobs run. Job ids stand in one metric of the ``web`` role alone, which
shows at most `MOST_JOBS` of them. What happened to one job is in the catalogue, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from watson import __version__
from watson.errors import ReasonCode
from watson.events import TOPICS

__all__ = [
    "BATCH_SIZE",
    "CATALOGUE_SECONDS",
    "CONSUMER_LAG",
    "CONSUMER_LAG_SECONDS",
    "CONTENT_TYPE",
    "DEAD_LETTERS",
    "EMIT_SECONDS",
    "EVENTS",
    "EVENT_SECONDS",
    "IDLE_SECONDS",
    "IMAGE_SECONDS",
    "IN_FLIGHT",
    "JOBS_IN_FLIGHT",
    "JOB_IMAGES",
    "LABELS",
    "MODEL_LOAD_SECONDS",
    "MODEL_SECONDS",
    "MOST_JOBS",
    "OBJECT_STORE_SECONDS",
    "PRICE",
    "QUEUE_SECONDS",
    "READY",
    "REBALANCES",
    "RECOVERY_SECONDS",
    "REDRIVES",
    "REGISTRY",
    "RETRIES",
    "STALLED_SECONDS",
    "TABLE",
    "TABLE_ENTRIES",
    "TRACKED",
    "WORK_SECONDS",
    "Metric",
    "begin",
    "render",
]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of what `render` returns."""

LABELS = MappingProxyType(
    {
        "role": ("discover", "preprocess", "segment", "catalogue", "project", "train", "web"),
        "outcome": ("emitted", "repeated", "redriven", "quarantined", "ignored", "undecodable", "failed"),
        "reason": tuple(code.value for code in ReasonCode),
        "topic": tuple(TOPICS),
        "operation": "bounded by the methods of the store's protocol: get, put, stat, put_image, …",
        "result": ("ok", "refused", "away", "failed"),
        "table": ("marks", "images", "jobs"),
        "watson_job": "at most 50: the newest jobs that have not ended, or ended less than ten minutes ago",
        "stage": ("discovered", "preprocessed", "segmented", "catalogued", "quarantined"),
        "version": "one value a process",
    }
)
"""Label → its values, or what bounds them."""

MOST_JOBS = 50
"""Of which the ``web`` role exports numbers."""

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
_PICTURES = (1, 2, 4, 8, 16, 32, 64, 128)

REGISTRY = CollectorRegistry()
"""Watson's own, so that no library's metrics slip in unseen."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[str, ...]
    help: str


TABLE: dict[str, Metric] = {}
"""Name, as Prometheus shows it → what it is."""

Kind = TypeVar("Kind", Counter, Gauge, Histogram)


def _row(kind: type[Kind], name: str, unit: str, labels: tuple[str, ...], meaning: str, **extra: object) -> Kind:
    word: Literal["counter", "gauge", "histogram"] = (
        "counter" if kind is Counter else "gauge" if kind is Gauge else "histogram"
    )
    TABLE[name] = Metric(name, word, unit, labels, meaning)
    metric: Kind = kind(name, meaning, labels, registry=REGISTRY, **extra)  # type: ignore[arg-type]  # buckets alone
    return metric


# fmt: off - one row a metric reads best
EVENTS = _row(Counter, "watson_events_total", "events", ("role", "outcome"), "Events done with, by how each ended.")
EVENT_SECONDS = _row(
    Histogram,
    "watson_event_seconds",
    "seconds",
    ("role",),
    "From an event's delivery to its acknowledgement, with retries and waiting.",
    buckets=_SLOW,
)
WORK_SECONDS = _row(
    Histogram, "watson_work_seconds", "seconds", ("role",), "The stage's own work on one event.", buckets=_SLOW
)
EMIT_SECONDS = _row(
    Histogram,
    "watson_emit_seconds",
    "seconds",
    ("role",),
    "From the send of an event to the broker's acknowledgement.",
    buckets=_FAST,
)
QUEUE_SECONDS = _row(
    Histogram,
    "watson_queue_seconds",
    "seconds",
    ("role",),
    "From an event's timestamp in the log to the beginning of work on it: how long it waited.",
    buckets=_LONG,
)
IDLE_SECONDS = _row(
    Counter, "watson_idle_seconds_total", "seconds", ("role",), "Time in which a worker had nothing to work on."
)
IMAGE_SECONDS = _row(
    Histogram,
    "watson_image_seconds",
    "seconds",
    (),
    "From an image's discovery to its end, catalogued or quarantined; as discover sees it.",
    buckets=_LONG,
)
RETRIES = _row(
    Counter, "watson_retries_total", "tries", ("role",), "Tries after the first, of events whose failure can pass."
)
DEAD_LETTERS = _row(Counter, "watson_dead_letters_total", "events", ("role", "reason"), "Events sent to dead-letters.")
IN_FLIGHT = _row(Gauge, "watson_in_flight", "events", ("role",), "Events that this worker works on now.")
TRACKED = _row(
    Gauge,
    "watson_images_tracked",
    "images",
    (),
    "Images discovered by this worker's partitions that have not ended yet.",
)
REDRIVES = _row(Counter, "watson_redrives_total", "images", (), "Images sent again because they had not ended in time.")
JOBS_IN_FLIGHT = _row(Gauge, "watson_jobs_in_flight", "jobs", (), "Jobs that this discover worker lists or waits for.")
BATCH_SIZE = _row(
    Histogram, "watson_batch_size", "pictures", (), "Pictures that the model saw at once.", buckets=_PICTURES
)
MODEL_SECONDS = _row(Histogram, "watson_model_seconds", "seconds", (), "The model's time for one batch.", buckets=_SLOW)
MODEL_LOAD_SECONDS = _row(
    Histogram,
    "watson_model_load_seconds",
    "seconds",
    (),
    "To have a model ready: its weights fetched, verified and loaded.",
    buckets=_SLOW,
)
CONSUMER_LAG = _row(
    Gauge,
    "watson_consumer_lag",
    "events",
    ("role", "topic"),
    "Events in this worker's partitions of a topic that are not yet acknowledged.",
)
CONSUMER_LAG_SECONDS = _row(
    Gauge,
    "watson_consumer_lag_seconds",
    "seconds",
    ("role",),
    "Age of the oldest event that this worker has in hand; 0 where it has none.",
)
REBALANCES = _row(
    Counter, "watson_rebalances_total", "rebalances", ("role",), "Rebalances of the consumer group that began here."
)
RECOVERY_SECONDS = _row(
    Histogram,
    "watson_recovery_seconds",
    "seconds",
    ("role",),
    "From the beginning of a rebalance (of the first, where several follow each other) until events flow again.",
    buckets=_SLOW,
)
TABLE_ENTRIES = _row(
    Gauge, "watson_table_entries", "entries", ("role", "table"), "Of a table's partitions here; RocksDB's estimate."
)
READY = _row(
    Gauge, "watson_ready", "1 or 0", ("role",), "1 where the worker has its partitions and tables and takes events."
)
STALLED_SECONDS = _row(
    Gauge,
    "watson_stalled_seconds",
    "seconds",
    ("role",),
    "For how long this worker has had lag and made no progress; 0 where it moves.",
)
OBJECT_STORE_SECONDS = _row(
    Histogram,
    "watson_object_store_seconds",
    "seconds",
    ("operation", "result"),
    "One operation of the object store, with the client's own retries.",
    buckets=_FAST,
)
CATALOGUE_SECONDS = _row(
    Histogram,
    "watson_catalogue_seconds",
    "seconds",
    ("operation", "result"),
    "One operation of the catalogue.",
    buckets=_FAST,
)
JOB_IMAGES = _row(
    Gauge,
    "watson_job_images",
    "images",
    ("watson_job", "stage"),  # `job` is Prometheus' own: the name of what it scrapes
    "Images of a job that passed a stage, by the catalogue; of the newest jobs, by the web role alone.",
)
PRICE = _row(
    Gauge, "watson_price_per_hour", "1", ("role",), "What this worker costs an hour, as WATSON_PRICE_PER_HOUR says."
)
_BUILD_INFO = _row(Gauge, "watson_build_info", "1", ("version",), "The version that runs; always 1.")
# fmt: on
_BUILD_INFO.labels(__version__).set(1)


def begin(role: str, price: float) -> None:
    """Show a role's counters as 0 before anything was counted, so that a first failure is seen as an increase.

    Args:
        role: of this process.
        price: an hour, in whatever currency.
    """
    of_a_role: list[Counter | Gauge | Histogram] = [
        *(EVENT_SECONDS, WORK_SECONDS, EMIT_SECONDS, QUEUE_SECONDS, IDLE_SECONDS, RETRIES, REBALANCES),
        *(RECOVERY_SECONDS, STALLED_SECONDS, CONSUMER_LAG_SECONDS, READY, IN_FLIGHT),
    ]
    for metric in of_a_role:
        metric.labels(role)
    for outcome in LABELS["outcome"]:
        EVENTS.labels(role, outcome)
    for code in ReasonCode:
        DEAD_LETTERS.labels(role, code.value)
    PRICE.labels(role).set(price)


def render() -> bytes:
    """All metrics in Prometheus' text format; its type is `CONTENT_TYPE`."""
    return generate_latest(REGISTRY)
