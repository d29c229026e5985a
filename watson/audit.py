"""``watson audit``: does the ledger close? Compares the source, the log, the object store and the catalogue.

For each job: discovered = catalogued + quarantined + in flight, disjoint; each catalogued image has its row, each row
its event; each object that an event refers to is there with the hash that the event states; each entry of the source
was discovered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from watson.agents.replay import replay
from watson.agents.topics import verify_topics
from watson.errors import Refused
from watson.events import (
    CHAIN,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    ManifestSubmitted,
    decode,
    image_key,
)
from watson.settings import Settings
from watson.sources import open_source
from watson.storage.catalogue import Catalogue
from watson.storage.objects import ObjectStore

__all__ = ["Audit", "Finding", "audit"]

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is off. ``kind`` is from a closed list (docs/operations.md)."""

    kind: str
    image_key: str | None
    detail: str


@dataclass(slots=True)
class _Log:
    manifest: ManifestSubmitted | None = None
    seen: dict[str, set[UUID]] = field(default_factory=lambda: {name: set() for name in (*CHAIN, "quarantined")})
    uris: dict[UUID, str] = field(default_factory=dict)
    catalogued: dict[UUID, ImageCatalogued] = field(default_factory=dict)


@dataclass(slots=True)
class Audit:
    """The result. ``clean`` says whether nothing is off; images in flight are not off, but the job is not done."""

    job: str
    listed: int | None = None
    discovered: int = 0
    preprocessed: int = 0
    segmented: int = 0
    catalogued: int = 0
    quarantined: int = 0
    in_flight: int = 0
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is off."""
        return not self.findings

    def add(self, kind: str, image: UUID | None, detail: str) -> None:
        """Note one thing that is off."""
        self.findings.append(Finding(kind, str(image) if image is not None else None, detail))


async def audit(
    job: str,
    settings: Settings,
    catalogue: Catalogue,
    objects: ObjectStore,
    *,
    source: bool = True,
    say: Callable[[str], None] = lambda _line: None,
) -> Audit:
    """Check one job.

    Args:
        job: its id.
        settings: where the broker and the source are.
        catalogue: open.
        objects: open.
        source: whether to list the source again and compare (a source that changed since shows as findings).
        say: called with a line before each part.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log or the source cannot be read, or the topics are not as the settings say.
        Retriable: the store or the catalogue is away.
    """
    result = Audit(job)
    say("reading the log")
    log = await _read_log(job, settings)
    if log.manifest is None:
        result.add("job-unknown", None, f"no manifest of job {job!r} is in the log")
        return result
    _check_ledger(result, log)
    if source:
        say("listing the source")
        await _check_source(result, log, settings)
    say("reading the catalogue")
    await _check_catalogue(result, log, catalogue)
    say(f"checking the objects of {len(log.catalogued)} images")
    await _check_objects(result, log, objects)
    return result


async def _read_log(job: str, settings: Settings) -> _Log:
    log = _Log()
    topics = ["manifests", *CHAIN, "dead-letters"]
    await verify_topics(settings, map(settings.topic, topics))
    async for record in replay(settings, topics):
        try:
            event = decode(record)
        except Refused:
            continue
        if getattr(event, "job", None) != job:
            continue
        if isinstance(event, ManifestSubmitted):
            log.manifest = log.manifest or event
        elif isinstance(event, ImageDiscovered):
            log.seen["image-discovered"].add(event.image_key)
            log.uris[event.image_key] = event.original.uri
        elif isinstance(event, ImagePreprocessed | ImageSegmented):
            log.seen[event.topic].add(event.image_key)
        elif isinstance(event, ImageCatalogued):
            log.seen["catalogued"].add(event.image_key)
            before = log.catalogued.get(event.image_key)
            if before is None or event.time >= before.time:
                log.catalogued[event.image_key] = event
        elif isinstance(event, ImageQuarantined) and event.image_key is not None:
            log.seen["quarantined"].add(event.image_key)
    return log


def _check_ledger(result: Audit, log: _Log) -> None:
    seen = log.seen
    ended_badly = seen["quarantined"] - seen["catalogued"]  # an image catalogued after a retry counts as catalogued
    result.discovered = len(seen["image-discovered"])
    result.preprocessed, result.segmented = len(seen["preprocessed"]), len(seen["segmented"])
    result.catalogued, result.quarantined = len(seen["catalogued"]), len(ended_badly)
    in_flight = seen["image-discovered"] - seen["catalogued"] - ended_badly
    result.in_flight = len(in_flight)
    for image in sorted((seen["catalogued"] | ended_badly) - seen["image-discovered"]):
        result.add("never-discovered", image, "the image ended, but no discovery of it is in the log")
    owners: dict[UUID, UUID] = {}
    for image, event in log.catalogued.items():
        for mask in event.masks:
            if owners.setdefault(mask.mask_id, image) != image:
                result.add("mask-twice", image, f"mask {mask.mask_id} is also of image {owners[mask.mask_id]}")


async def _check_source(result: Audit, log: _Log, settings: Settings) -> None:
    if log.manifest is None:
        return
    listed: set[UUID] = set()
    async with open_source(log.manifest.source, settings) as lister:
        async for batch in lister.batches(None, settings.page_size):
            for entry in batch.entries:
                key = image_key(entry.uri)
                listed.add(key)
                if key not in log.seen["image-discovered"]:
                    result.add("not-discovered", key, f"in the source, not in the log: {entry.uri}")
    result.listed = len(listed)
    for image in sorted(log.seen["image-discovered"] - listed):
        result.add("not-in-source", image, f"discovered, but no longer in the source: {log.uris.get(image)}")


async def _check_catalogue(result: Audit, log: _Log, catalogue: Catalogue) -> None:
    row = await catalogue.job(result.job)
    if row is None:
        result.add("job-row-missing", None, "the catalogue has no row of this job")
    else:
        wanted = {
            "discovered": result.discovered,
            "preprocessed": result.preprocessed,
            "segmented": result.segmented,
            "catalogued": result.catalogued,
            "quarantined": result.quarantined,
        }
        for stage, number in wanted.items():
            if row.counts.get(stage, 0) != number:
                result.add(
                    "count-wrong", None, f"{stage}: {row.counts.get(stage, 0)} in the catalogue, {number} in the log"
                )
    await _check_rows(result, log, catalogue)
    await _check_letters(result, log, catalogue)


async def _check_rows(result: Audit, log: _Log, catalogue: Catalogue) -> None:
    rows: set[UUID] = set()
    cursor: str | None = None
    while True:
        page = await catalogue.images(result.job, after=cursor, limit=500)
        for event in page.items:
            if event.image_key in rows:
                result.add("row-twice", event.image_key, "the image has two rows")
            rows.add(event.image_key)
            said = log.catalogued.get(event.image_key)
            if said is None:
                result.add("row-without-event", event.image_key, "a row, but no event in the log")
            elif said.segmentation_id != event.segmentation_id or said.masks != event.masks:
                result.add("row-differs", event.image_key, "the row says something else than the event")
        cursor = page.cursor
        if cursor is None:
            break
    for image in sorted(set(log.catalogued) - rows):
        result.add("row-missing", image, f"catalogued, but no row: {log.uris.get(image)}")


async def _check_letters(result: Audit, log: _Log, catalogue: Catalogue) -> None:
    open_letters: set[UUID] = set()
    cursor: str | None = None
    while True:
        page = await catalogue.dead_letters(result.job, after=cursor, limit=500)
        open_letters |= {row.event.image_key for row in page.items if row.event.image_key and not row.resolved}
        cursor = page.cursor
        if cursor is None:
            break
    quarantined = log.seen["quarantined"] - log.seen["catalogued"]
    for image in sorted(quarantined - open_letters):
        result.add(
            "letter-missing", image, f"quarantined, but no open dead letter in the catalogue: {log.uris.get(image)}"
        )
    for image in sorted(open_letters - quarantined):
        result.add("letter-without-event", image, "an open dead letter, but the log does not quarantine the image")


async def _check_objects(result: Audit, log: _Log, objects: ObjectStore) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def check(image: UUID, key: str, sha256: str) -> None:
        async with slots:
            try:
                data = await objects.get(key)
            except Refused as refused:
                result.add("object-missing", image, f"{key}: {refused}")
                return
            found = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
            if found != sha256:
                result.add("object-altered", image, f"{key}: sha256 is {found}, the event says {sha256}")

    wanted = _objects_of(log)
    result.objects = len(wanted)
    checks = iter([(image, key, sha) for (key, sha), image in wanted.items()])
    while batch := list(_take(checks, 1000)):
        await asyncio.gather(*(check(*one) for one in batch))


def _objects_of(log: _Log) -> dict[tuple[str, str], UUID]:
    wanted: dict[tuple[str, str], UUID] = {}
    for image, event in log.catalogued.items():
        wanted[event.masks_object, event.masks_sha256] = image
        wanted[event.normalised.object, event.normalised.sha256] = image
    return wanted


def _take(items: Iterator[tuple[UUID, str, str]], number: int) -> Iterator[tuple[UUID, str, str]]:
    for _ in range(number):
        try:
            yield next(items)
        except StopIteration:
            return
