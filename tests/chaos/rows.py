"""Compares the catalogue's rows with the log: one part of the oracle."""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from tests.chaos.evidence import Evidence
from tests.chaos.finding import Event, Finding, events, uri_of
from tests.chaos.pictures import Expected

__all__ = ["row_findings"]


def row_findings(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """What is off in the catalogue's rows of one job, compared with what the log says."""
    rows = {table: [row for row in found if row["job"] == job.job] for table, found in evidence.rows.items()}
    newest: dict[str, Event] = {}
    for event in events(evidence, "catalogued", job.job):
        before = newest.get(event["image_key"])
        if before is None or event["time"] > before["time"]:
            newest[event["image_key"]] = event
    yield from _image_rows(job.job, newest, rows["images"])
    yield from _mask_rows(job.job, newest, rows["masks"])
    yield from _letter_rows(job.job, evidence, rows["dead_letters"], rows["dead_letters_by_reason"])
    yield from _counts(job, rows["job_counts"])
    yield from _places(job.job, rows)
    states = [json.loads(row["event"])["data"] for row in rows["jobs"] if row["event"]]
    if [(state["state"], state["listed"]) for state in states] != [("complete", len(job.entries))]:
        said = [(state["state"], state["listed"]) for state in states]
        yield Finding("job-row-differs", job.job, "jobs", f"{said}, not complete with {len(job.entries)} entries")


def _image_rows(job: str, newest: dict[str, Event], rows: list[dict[str, Any]]) -> Iterator[Finding]:
    seen: set[str] = set()
    for row in rows:
        event = json.loads(row["event"])["data"]
        key = str(row["image_key"])
        if key in seen:
            yield Finding("row-twice", job, uri_of(event))
        elif key not in newest:
            yield Finding("row-stranger", job, uri_of(event), "no such event in the log")
        elif event != newest[key]:
            yield Finding("row-differs", job, uri_of(event), "not what the newest event says")
        seen.add(key)
    for key in sorted(set(newest) - seen):
        yield Finding("row-missing", job, uri_of(newest[key]))


def _mask_rows(job: str, newest: dict[str, Event], rows: list[dict[str, Any]]) -> Iterator[Finding]:
    stored: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        mask = json.loads(row["mask"])
        if (row["category"], row["mask_index"]) != (mask["category"], mask["index"]):  # it is read by these
            where = f"{row['category']}/{row['mask_index']}"
            yield Finding("mask-row-misplaced", job, str(row["image_key"]), f"{where} holds {mask['category']}")
        stored[str(row["image_key"])].append(mask)
    for key in sorted(set(stored) | set(newest)):
        said = newest[key]["masks"] if key in newest else []
        if sorted(stored[key], key=_by_index) != sorted(said, key=_by_index):
            yield Finding("mask-rows-differ", job, key, f"{len(stored[key])} rows, {len(said)} in the event")


def _by_index(mask: Event) -> int:
    return int(mask["index"])


def _letter_rows(
    job: str, evidence: Evidence, rows: list[dict[str, Any]], by_reason: list[dict[str, Any]]
) -> Iterator[Finding]:
    letters: dict[str, list[Event]] = defaultdict(list)
    for record in evidence.of("dead-letters"):
        if record.event["job"] == job:
            letters[record.header("ce_id") or ""].append(record.event)
    catalogued = {event["image_key"] for event in events(evidence, "catalogued", job)}
    stored = {str(row["id"]): row for row in rows}
    for id_ in sorted(set(letters) - set(stored)):
        yield Finding("letter-row-missing", job, str(letters[id_][0]["uri"]))
    indexed = {(str(row["id"]), row["reason"]) for row in by_reason}
    for id_, row in stored.items():
        event = json.loads(row["event"])["data"]
        if event not in letters[id_]:
            yield Finding("letter-row-stranger", job, str(event["uri"]), "no such event in the log")
        elif row["resolved"] != (event["image_key"] in catalogued):
            yield Finding("letter-row-differs", job, str(event["uri"]), f"resolved is {row['resolved']}")
        elif (id_, event["reason"]) not in indexed:
            yield Finding("letter-row-missing", job, str(event["uri"]), "not in the index by reason")
    said = {(id_, event["reason"]) for id_, telling in letters.items() for event in telling}
    for id_, reason in sorted(indexed - said):  # an earlier one may stay: readers look whether the letter says so still
        yield Finding("letter-index-stranger", job, id_, f"no letter in the log says {reason}")


def _counts(job: Expected, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    good = sum(not end for end in job.ends.values())
    wanted = {"discovered": len(job.ends), "preprocessed": good, "segmented": good, "catalogued": good}
    wanted["quarantined"] = len(job.ends) - good
    said: Counter[str] = Counter()
    for row in rows:
        said[row["stage"]] += row["count"]
    for stage, number in wanted.items():
        if said[stage] != number:
            yield Finding("count-wrong", job.job, stage, f"{said[stage]}, not {number}")


_READ_BY = {"images": "image_key", "masks": "image_key", "dead_letters": "id", "dead_letters_by_reason": "id"}
"""Table → the id whose first byte is the bucket. docs/catalogue.md has it; so has the shard."""

_SHARDS = 16


def _places(job: str, rows: dict[str, list[dict[str, Any]]]) -> Iterator[Finding]:
    """Each row lies in the partition in which readers look for it: elsewhere nobody would ever see it."""
    for table, column in _READ_BY.items():
        for row in rows[table]:
            if row["bucket"] != _first_byte(row[column]):
                yield Finding("row-misplaced", job, str(row[column]), f"{table}: in the bucket {row['bucket']}")
    for row in rows["jobs"]:
        if row["shard"] != zlib.crc32(job.encode()) % _SHARDS:
            yield Finding("row-misplaced", job, "jobs", f"in the shard {row['shard']}")


def _first_byte(id_: object) -> int | None:
    return id_.bytes[0] if isinstance(id_, UUID) else None
