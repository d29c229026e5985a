"""Finds in the log the records that a plan wants sent again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from watson.agents.replay import replay
from watson.audit.log import JobLog
from watson.audit.plan import Plan
from watson.errors import Refused
from watson.events import (
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageQuarantined,
    ManifestSubmitted,
    ModelRegistered,
    Record,
    decode,
)
from watson.settings import Settings

__all__ = ["Records", "find_records"]


@dataclass(slots=True)
class Records:
    """What is to be sent: ``rows`` first, since what is done anew may replace them; each list with its own header."""

    rows: list[Record] = field(default_factory=list)
    anew: list[Record] = field(default_factory=list)
    redrive: list[Record] = field(default_factory=list)


async def find_records(settings: Settings, plan: Plan, log: JobLog) -> Records:
    """Read the log once more, and keep the newest record of each thing that the plan names.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log cannot be read.
    """
    newest: dict[tuple[str, object], tuple[datetime, Record]] = {}
    async for record in replay(settings, _topics(plan)):
        try:
            event = decode(record)
        except Refused:
            continue
        key = _wanted(event, plan, log)
        if key is None:
            continue
        known = newest.get((event.topic, key))
        if known is None or event.time >= known[0]:
            newest[event.topic, key] = event.time, _with_time(record, event)
    return _sorted(settings, plan, {place: record for place, (_, record) in newest.items()})


def _with_time(record: Record, event: Event) -> Record:
    """A foreign producer's record may state no time: that of its arrival stood in, and must not become today's."""
    if record.header("ce_time") is not None:
        return record
    return replace(record, headers=(*record.headers, ("ce_time", event.time.isoformat().encode())))


def _topics(plan: Plan) -> list[str]:
    wanted = {
        "manifests": plan.job,
        "models": plan.model,
        "catalogued": bool(plan.rows),
        "dead-letters": bool(plan.letters),
        "image-discovered": bool(plan.source or plan.picture or plan.redrive),
        "preprocessed": bool(plan.picture),
    }
    return [topic for topic, is_wanted in wanted.items() if is_wanted]


def _wanted(event: Event, plan: Plan, log: JobLog) -> object:
    """What names the thing that the event is about, where it is wanted; else None."""
    if isinstance(event, ModelRegistered):
        return event.key if event.key in log.references else None
    if getattr(event, "job", None) != log.job:
        return None
    match event:
        case ManifestSubmitted():
            return event.job if event == log.manifest else None
        case ImageDiscovered():
            is_wanted = plan.redrive or event.image_key in plan.source or event.image_key in plan.picture
        case ImagePreprocessed():
            end = log.catalogued.get(event.image_key)
            is_wanted = event.image_key in plan.picture and end is not None and end.normalised == event.normalised
        case ImageCatalogued():
            is_wanted = event.image_key in plan.rows
        case ImageQuarantined():
            return event.id if event.image_key in plan.letters else None
        case _:
            return None
    return event.image_key if is_wanted else None


def _sorted(settings: Settings, plan: Plan, found: dict[tuple[str, object], Record]) -> Records:
    records = Records()
    without_picture: set[UUID] = plan.picture - {
        image for topic, image in found if topic == "preprocessed" and isinstance(image, UUID)
    }
    for (topic, key), record in found.items():
        if topic == "manifests":  # to every partition: the counts of each are said by whoever has it
            records.rows += [replace(record, partition=partition) for partition in range(settings.partitions)]
        elif topic == "preprocessed":
            records.anew.append(record)
        elif topic == "image-discovered":
            if key in plan.source or key in without_picture:
                records.anew.append(record)
            elif plan.redrive:
                records.redrive.append(record)
        else:
            records.rows.append(record)
    return records
