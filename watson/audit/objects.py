"""Is each object there, with the hash that the events state?"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from itertools import islice
from uuid import UUID

from watson.audit.findings import Audit, Finding
from watson.audit.log import JobLog
from watson.errors import ReasonCode, Refused
from watson.storage.objects import ObjectStore

__all__ = ["check_objects"]

_AT_ONCE = 16
_OF_THE_STORE = frozenset({ReasonCode.OBJECT_MISSING, ReasonCode.OBJECT_ALTERED})


async def check_objects(result: Audit, log: JobLog, objects: ObjectStore) -> None:
    """Read every object that the newest events refer to; note what a repair of it came to, where one failed.

    Raises:
        Retriable: the store is away.
    """
    slots = asyncio.Semaphore(_AT_ONCE)
    tried: dict[UUID | None, str] = {
        image: f"; a repair failed: {letter.reason}: {letter.message}" for image, letter in log.failed_repairs().items()
    }

    async def check(key: str, sha256: str, images: list[UUID]) -> None:
        async with slots:
            try:
                data = await objects.get(key)
            except Refused as refused:
                for image in images:
                    result.add("object-missing", image, f"{key}: {refused}{tried.get(image, '')}", object_key=key)
                return
            found = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        for image in images if found != sha256 else []:
            what = f"{key}: sha256 is {found}, the event says {sha256}{tried.get(image, '')}"
            result.add("object-altered", image, what, object_key=key)

    wanted = _objects_of(log)
    result.objects, before = len(wanted), len(result.findings)
    checks = iter(wanted.items())
    while batch := list(islice(checks, 1000)):
        await asyncio.gather(*(check(key, sha256, images) for (key, sha256), images in batch))
    # in the same order each time, whichever was read first
    result.findings[before:] = sorted(result.findings[before:], key=_order)
    quarantined = log.quarantined
    for _, letter in sorted(log.letters.items()):
        image = letter.image_key
        if image in quarantined and letter.stage == "segment" and letter.reason in _OF_THE_STORE:
            result.add("quarantined-for-object", image, f"{letter.message}{tried.get(image, '')}")


def _order(finding: Finding) -> tuple[str, str]:
    return finding.object_key or "", finding.image_key or ""


def _objects_of(log: JobLog) -> dict[tuple[str, str], list[UUID]]:
    """Key and hash of each object, and the images that it is of: equal pictures share one."""
    wanted: dict[tuple[str, str], list[UUID]] = defaultdict(list)
    for image, event in log.catalogued.items():
        wanted[event.masks_object, event.masks_sha256].append(image)
        wanted[event.normalised.object, event.normalised.sha256].append(image)
    return wanted
