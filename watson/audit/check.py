"""``watson audit``: does the ledger close? Compares the source, the log, the object store and the catalogue.

For each job: discovered = catalogued + quarantined + in flight, disjoint; each catalogued image has its row, each row
its event; each object that an event refers to is there with the hash that the event states; each entry of the source
was discovered.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from watson.audit.findings import Audit
from watson.audit.log import JobLog, read_log
from watson.audit.objects import check_objects
from watson.audit.rows import check_catalogue
from watson.events import image_key
from watson.settings import Settings
from watson.sources import open_source
from watson.storage.catalogue import Catalogue
from watson.storage.objects import ObjectStore

__all__ = ["Say", "audit", "audit_with_log"]

_LISTED = (None, "draining", "complete")
"""States in which all of the source was listed, as far as can be known."""

Say = Callable[[str], None]
"""Called with a line for whoever waits."""


async def audit(
    job: str,
    settings: Settings,
    catalogue: Catalogue,
    objects: ObjectStore,
    *,
    source: bool = True,
    say: Say = lambda _line: None,
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
    return (await audit_with_log(job, settings, catalogue, objects, source=source, say=say))[0]


async def audit_with_log(
    job: str,
    settings: Settings,
    catalogue: Catalogue,
    objects: ObjectStore,
    *,
    source: bool,
    say: Say,
    patience: float = 0.0,
) -> tuple[Audit, JobLog]:
    """As `audit`; returns what the log says too, and waits ``patience`` seconds for counts to come right."""
    result = Audit(job)
    say("reading the log")
    log = await read_log(job, settings)
    if log.manifest is None:
        result.add("job-unknown", None, f"no manifest of job {job!r} is in the log")
        return result, log
    _check_ledger(result, log)
    if source:
        say("listing the source")
        await _check_source(result, log, settings)
    if not result.running:
        say("reading the catalogue")
        await check_catalogue(result, log, catalogue, patience)
    say(f"checking the objects of {len(log.catalogued)} images")
    await check_objects(result, log, objects)
    return result, log


def _check_ledger(result: Audit, log: JobLog) -> None:
    seen = log.seen
    result.state = log.changed.state if log.changed is not None else None
    result.discovered = len(seen["image-discovered"])
    result.preprocessed, result.segmented = len(seen["preprocessed"]), len(seen["segmented"])
    result.catalogued, result.quarantined = len(seen["catalogued"]), len(log.quarantined)
    in_flight = seen["image-discovered"] - seen["catalogued"] - log.quarantined
    result.in_flight = len(in_flight)
    for image in sorted((seen["catalogued"] | log.quarantined) - seen["image-discovered"]):
        result.add("never-discovered", image, "the image ended, but no discovery of it is in the log")
    owners: dict[UUID, UUID] = {}
    for image, event in log.catalogued.items():
        for mask in event.masks:
            if owners.setdefault(mask.mask_id, image) != image:
                result.add("mask-twice", image, f"mask {mask.mask_id} is also of image {owners[mask.mask_id]}")


async def _check_source(result: Audit, log: JobLog, settings: Settings) -> None:
    if log.manifest is None:
        return
    listed: set[UUID] = set()
    async with open_source(log.manifest.source, settings) as lister:
        async for batch in lister.batches(None, settings.page_size):
            for entry in batch.entries:
                key = image_key(entry.uri)
                listed.add(key)
                if key in log.seen["image-discovered"]:
                    continue
                if result.state in _LISTED:
                    result.add("not-discovered", key, f"in the source, not in the log: {entry.uri}")
                else:
                    result.unlisted += 1
    result.listed = len(listed)
    for image in sorted(log.seen["image-discovered"] - listed):
        result.add("not-in-source", image, f"discovered, but no longer in the source: {log.uris.get(image)}")
