"""Compares evidence with what must be, and returns what is off: an empty list is the proof.

It is told what the sources hold by whoever made them, and believes nothing that Watson says of itself.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.chaos.evidence import Evidence, LogRecord
from tests.chaos.pictures import Expected
from tests.chaos.truth import image_findings

__all__ = ["Finding", "judge", "judge_log", "repeated"]

Event = dict[str, Any]

_CHAIN = ("image-discovered", "preprocessed", "segmented", "catalogued")
_MAY_DIFFER = ("time", "segmented_at", "index")  # between two tellings of one event


@dataclass(frozen=True)
class Finding:
    """One thing that is off."""

    kind: str
    job: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}  {self.job}  {self.what}  {self.detail}".rstrip()


def judge(expected: Iterable[Expected], originals: dict[str, bytes], evidence: Evidence) -> list[Finding]:
    """All findings: of the log, of the objects, of the catalogue.

    Args:
        expected: what each job must end as.
        originals: URI → the source's bytes.
        evidence: of the log, the rows and the objects.
    """
    jobs = list(expected)
    found = judge_log(jobs, evidence)
    found += _objects(originals, evidence)
    for job in jobs:
        found += _catalogue(job, evidence)
    return found


def judge_log(jobs: list[Expected], evidence: Evidence) -> list[Finding]:
    """What the log alone shows."""
    found = [*_strangers(jobs, evidence), *_contradictions(evidence), *_mask_ids(evidence), *_letters(evidence)]
    for job in jobs:
        found += [*_ledger(job, evidence), *_indices(job, evidence), *_job_state(job, evidence)]
    return found


# ------------------------------------------------------------------ the log


def _indices(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """An image stands in the listing where its event says."""
    for event in _events(evidence, "image-discovered", job.job):
        if job.entries[event["index"] : event["index"] + 1] != (_uri(event),):
            yield Finding("index-wrong", job.job, _uri(event), f"it is not entry {event['index']} of the listing")


def _ledger(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """Every image of the source is discovered, and ends as it must: once."""
    discovered = {_uri(event) for event in _events(evidence, "image-discovered", job.job)}
    catalogued = {_uri(event) for event in _events(evidence, "catalogued", job.job)}
    reasons: dict[str, set[str]] = defaultdict(set)
    for event in _events(evidence, "dead-letters", job.job):
        reasons[event["uri"]].add(event["reason"])
    for uri in sorted(set(job.ends) - discovered):
        yield Finding("not-discovered", job.job, uri)
    for uri in sorted((discovered | catalogued | set(reasons)) - set(job.ends)):
        yield Finding("stranger", job.job, uri, "it is not in the source")
    for uri, wanted in sorted(job.ends.items()):
        if uri not in catalogued and uri not in reasons:
            yield Finding("missing", job.job, uri, "neither catalogued nor quarantined")
        elif uri in catalogued and uri in reasons:
            yield Finding("both", job.job, uri, f"catalogued, and quarantined: {sorted(reasons[uri])}")
        elif bool(wanted) != (uri in reasons):
            said = sorted(reasons[uri]) if uri in reasons else "catalogued"
            yield Finding("wrong-end", job.job, uri, f"{said} where {sorted(wanted) or 'catalogued'} is right")
        elif not reasons[uri] <= wanted:
            yield Finding("wrong-reason", job.job, uri, f"{sorted(reasons[uri])}, not {sorted(wanted)}")


def _strangers(jobs: list[Expected], evidence: Evidence) -> Iterator[Finding]:
    known = {job.job for job in jobs}
    for topic in (*_CHAIN, "dead-letters"):
        for name in {str(record.event.get("job")) for record in evidence.of(topic)} - known:
            yield Finding("stranger", name, topic, "no such job was submitted")


def _contradictions(evidence: Evidence) -> Iterator[Finding]:
    """Two records with one id say the same."""
    said: dict[tuple[str, str], str] = {}
    for record in evidence.log:
        if record.topic in _CHAIN:
            event = record.event
            content = json.dumps({k: v for k, v in event.items() if k not in _MAY_DIFFER}, sort_keys=True)
            place = (record.topic, record.header("ce_id") or "")
            if said.setdefault(place, content) != content:
                yield Finding("contradiction", event["job"], _uri(event), f"{record.topic}: one id, two contents")
    ids: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for (topic, id_), content in said.items():
        event = json.loads(content)
        ids[topic, event["job"], event["image_key"]].add(id_)
    for (topic, job, image), different in ids.items():
        if len(different) > 1:
            yield Finding("contradiction", job, image, f"{topic}: {len(different)} different events of one image")


def _mask_ids(evidence: Evidence) -> Iterator[Finding]:
    """A mask id is of one place in one image, whichever job (jobs share the masks of an image and a model)."""
    owners: dict[str, tuple[str, int]] = {}
    for record in evidence.of("catalogued"):
        event = record.event
        here = [mask["mask_id"] for mask in event["masks"]]
        for mask_id, times in Counter(here).items():
            if times > 1:
                yield Finding("mask-twice", event["job"], _uri(event), f"mask {mask_id} twice in one image")
        for mask in event["masks"]:
            place = (event["image_key"], mask["index"])
            if owners.setdefault(mask["mask_id"], place) != place:
                yield Finding("mask-twice", event["job"], _uri(event), f"mask {mask['mask_id']} is elsewhere too")


def _letters(evidence: Evidence) -> Iterator[Finding]:
    """The record in a dead letter is the record at that place of the log, byte for byte."""
    places = {(record.topic, record.partition, record.offset): record for record in evidence.log}
    for record in evidence.of("dead-letters"):
        event = record.event
        failed = event["failed"]
        original = places.get((failed["topic"], failed["partition"], failed["offset"]))
        kept = (_bytes(failed["key"]), _bytes(failed["value"]), _headers(failed["headers"]))
        if original is None or kept != (original.key, original.value, original.headers):
            where = f"{failed['topic']}/{failed['partition']}/{failed['offset']}"
            yield Finding("letter-altered", str(event["job"]), str(event["uri"]), f"not what stands at {where}")


def _job_state(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    changes = [e for r in evidence.of("jobs") if (e := r.event)["job"] == job.job and "state" in e]
    newest = max(changes, key=lambda event: event["time"], default=None)
    if newest is None or newest["state"] != "complete":
        said = "nothing" if newest is None else f"{newest['state']} {newest['message']}".strip()
        yield Finding("job-state", job.job, "state", f"{said}, not complete")
    elif newest["listed"] != len(job.entries):
        yield Finding("job-state", job.job, "listed", f"{newest['listed']}, not {len(job.entries)}")


# ------------------------------------------------------------------ the objects


def _objects(originals: dict[str, bytes], evidence: Evidence) -> Iterator[Finding]:
    looked_at: set[tuple[str, str]] = set()
    for record in evidence.of("catalogued"):
        event = record.event
        place = (event["masks_object"], json.dumps(event["masks"]))
        if place in looked_at:  # jobs share masks, and records are repeated
            continue
        looked_at.add(place)
        for kind, detail in image_findings(event, originals.get(_uri(event)), evidence.objects):
            yield Finding(kind, event["job"], _uri(event), detail)


# ------------------------------------------------------------------ the catalogue


def _catalogue(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    rows = {table: [row for row in found if row["job"] == job.job] for table, found in evidence.rows.items()}
    newest: dict[str, Event] = {}
    for event in _events(evidence, "catalogued", job.job):
        before = newest.get(event["image_key"])
        if before is None or event["time"] > before["time"]:
            newest[event["image_key"]] = event
    yield from _image_rows(job.job, newest, rows["images"])
    yield from _mask_rows(job.job, newest, rows["masks"])
    yield from _letter_rows(job.job, evidence, rows["dead_letters"], rows["dead_letters_by_reason"])
    yield from _counts(job, rows["job_counts"])
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
            yield Finding("row-twice", job, _uri(event))
        elif key not in newest:
            yield Finding("row-stranger", job, _uri(event), "no such event in the log")
        elif event != newest[key]:
            yield Finding("row-differs", job, _uri(event), "not what the newest event says")
        seen.add(key)
    for key in sorted(set(newest) - seen):
        yield Finding("row-missing", job, _uri(newest[key]))


def _mask_rows(job: str, newest: dict[str, Event], rows: list[dict[str, Any]]) -> Iterator[Finding]:
    stored: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        stored[str(row["image_key"])].append(json.loads(row["mask"]))
    for key in sorted(set(stored) | set(newest)):
        said = newest[key]["masks"] if key in newest else []
        if sorted(stored[key], key=_by_index) != sorted(said, key=_by_index):
            yield Finding("mask-rows-differ", job, key, f"{len(stored[key])} rows, {len(said)} in the event")


def _letter_rows(
    job: str, evidence: Evidence, rows: list[dict[str, Any]], by_reason: list[dict[str, Any]]
) -> Iterator[Finding]:
    letters: dict[str, list[Event]] = defaultdict(list)
    for record in evidence.of("dead-letters"):
        if record.event["job"] == job:
            letters[record.header("ce_id") or ""].append(record.event)
    catalogued = {event["image_key"] for event in _events(evidence, "catalogued", job)}
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


# ------------------------------------------------------------------ reading events


def _events(evidence: Evidence, topic: str, job: str) -> Iterator[Event]:
    return (event for record in evidence.of(topic) if (event := record.event)["job"] == job)


def _uri(event: Event) -> str:
    return str(event["original"]["uri"])


def _by_index(mask: dict[str, Any]) -> int:
    return int(mask["index"])


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))


def _headers(pairs: list[list[str]]) -> tuple[tuple[str, bytes | None], ...]:
    return tuple((name, _bytes(value)) for name, value in pairs)


def repeated(records: Iterable[LogRecord]) -> int:
    """Records that say again what another has said: allowed, and counted for the report."""
    ids = Counter(record.header("ce_id") for record in records)
    return sum(times - 1 for times in ids.values())
