"""Compares evidence with what must be, and returns what is off: an empty list is the proof.

It is told what the sources hold by whoever made them, and believes nothing that Watson says of itself.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.evidence import Evidence, LogRecord
from tests.chaos.finding import Event, Finding, events, uri_of
from tests.chaos.pictures import Expected
from tests.chaos.rows import row_findings
from tests.chaos.truth import image_findings

__all__ = ["Finding", "judge", "judge_log", "repeated"]

_CHAIN = ("image-discovered", "preprocessed", "segmented", "catalogued")
_BETWEEN = ("preprocessed", "segmented")
_MAY_DIFFER = ("time", "segmented_at", "index")  # between two tellings of one event


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
        found += row_findings(job, evidence)
    return found


def judge_log(jobs: list[Expected], evidence: Evidence) -> list[Finding]:
    """What the log alone shows."""
    found = [*_strangers(jobs, evidence), *_contradictions(evidence), *_mask_ids(evidence), *_letters(evidence)]
    for job in jobs:
        found += [*_ledger(job, evidence), *_stages(job, evidence)]
        found += [*_indices(job, evidence), *_job_state(job, evidence), *_settings(job, evidence)]
    return found


# ------------------------------------------------------------------ the log


def _indices(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """An image stands in the listing where its event says."""
    for event in events(evidence, "image-discovered", job.job):
        if job.entries[event["index"] : event["index"] + 1] != (uri_of(event),):
            yield Finding("index-wrong", job.job, uri_of(event), f"it is not entry {event['index']} of the listing")


def _settings(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """Every event of the chain is for the job's dataset, by the job's model, in one version."""
    versions: set[str] = set()
    for topic in _CHAIN:
        for event in events(evidence, topic, job.job):
            name, _, version = event["model"].partition("@")
            versions.add(version)
            if (event["dataset"], name) != (job.dataset, job.model):
                said = f"{topic}: for {event['dataset']} by {event['model']}"
                yield Finding("settings-wrong", job.job, uri_of(event), said)
    if len(versions) > 1:
        yield Finding("settings-wrong", job.job, "model", f"{len(versions)} versions of it were used")


def _ledger(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """Every image of the source is discovered, and ends as it must: once."""
    discovered = {uri_of(event) for event in events(evidence, "image-discovered", job.job)}
    catalogued = {uri_of(event) for event in events(evidence, "catalogued", job.job)}
    reasons: dict[str, set[str]] = defaultdict(set)
    for event in events(evidence, "dead-letters", job.job):
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


def _stages(job: Expected, evidence: Evidence) -> Iterator[Finding]:
    """What was catalogued went through every stage, by what the log says."""
    catalogued = {uri_of(event) for event in events(evidence, "catalogued", job.job)}
    for topic in _BETWEEN:
        for uri in sorted(catalogued - {uri_of(event) for event in events(evidence, topic, job.job)}):
            yield Finding("stage-missing", job.job, uri, f"catalogued, and not {topic}")


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
                yield Finding("contradiction", event["job"], uri_of(event), f"{record.topic}: one id, two contents")
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
                yield Finding("mask-twice", event["job"], uri_of(event), f"mask {mask_id} twice in one image")
        for mask in event["masks"]:
            place = (event["image_key"], mask["index"])
            if owners.setdefault(mask["mask_id"], place) != place:
                yield Finding("mask-twice", event["job"], uri_of(event), f"mask {mask['mask_id']} is elsewhere too")


def _letters(evidence: Evidence) -> Iterator[Finding]:
    """The record in a dead letter is the record at that place of the log, byte for byte, and is of its picture."""
    places = {(record.topic, record.partition, record.offset): record for record in evidence.log}
    for record in evidence.of("dead-letters"):
        event = record.event
        failed = event["failed"]
        original = places.get((failed["topic"], failed["partition"], failed["offset"]))
        kept = (_bytes(failed["key"]), _bytes(failed["value"]), _headers(failed["headers"]))
        if original is None or kept != (original.key, original.value, original.headers):
            where = f"{failed['topic']}/{failed['partition']}/{failed['offset']}"
            yield Finding("letter-altered", str(event["job"]), str(event["uri"]), f"not what stands at {where}")
        elif event["image_key"] is not None and _image(original.event) != _image(event):
            yield Finding("letter-of-another", str(event["job"]), str(event["uri"]), f"holds {_image(original.event)}")


def _image(event: Event) -> tuple[str, str, str]:
    """Whose it is: of an event of the chain, or of a letter."""
    return event["job"], event["image_key"], str(event["uri"]) if "uri" in event else uri_of(event)


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
    looked_at: set[str] = set()
    for record in evidence.of("catalogued"):
        event = record.event
        said = json.dumps([event[name] for name in ("original", "normalised", "masks_object", "masks_sha256", "masks")])
        if said in looked_at:  # jobs share pictures and masks, and records are repeated; what they say is looked at
            continue
        looked_at.add(said)
        for kind, detail in image_findings(event, originals.get(uri_of(event)), evidence.objects):
            yield Finding(kind, event["job"], uri_of(event), detail)


# ------------------------------------------------------------------ reading events


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))


def _headers(pairs: list[list[str]]) -> tuple[tuple[str, bytes | None], ...]:
    return tuple((name, _bytes(value)) for name, value in pairs)


def repeated(records: Iterable[LogRecord]) -> int:
    """Records that say again what another has said: allowed, and counted for the report."""
    ids = Counter(record.header("ce_id") for record in records)
    return sum(times - 1 for times in ids.values())
