"""A small log made by hand on a real broker, with its objects and its source: what audits and rebuilds read.

Job ``street``: three pictures discovered; ``a`` and ``b`` catalogued, ``c`` quarantined.
Job ``odd``: ``x`` discovered and catalogued; ``y`` catalogued with a mask of ``x``, and never discovered.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient

from tests.storage.events import SHA, catalogued, quarantined
from watson.agents.publish import publish
from watson.agents.topics import create_topics
from watson.events import (
    Event,
    FailedRecord,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageSegmented,
    JobChanged,
    JobOptions,
    ManifestSubmitted,
    MaskSummary,
    Original,
    Source,
    image_key,
)
from watson.rebuild import rebuild
from watson.settings import Settings
from watson.storage.directory import DirectoryObjectStore
from watson.storage.sqlite import SqliteCatalogue

JOB, ODD = "street", "odd"
TIME = datetime(2026, 3, 14, 12, tzinfo=UTC)
PARTITIONS = 2


@dataclass(frozen=True)
class Ledger:
    """Where it all is. ``copy`` gives a test its own source, objects and catalogue, to damage."""

    settings: Settings
    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def database(self) -> Path:
        return self.folder / "catalogue.db"

    def copy(self, folder: Path) -> Ledger:
        """The source is not copied: the log has its absolute path."""
        shutil.copytree(self.folder / "objects", folder / "objects")
        for file in self.folder.glob("catalogue.db*"):
            shutil.copy(file, folder / file.name)
        return Ledger(_settings(self.settings.brokers, self.settings.topic_prefix, folder), folder)

    def object(self, name: str) -> Path:
        return self.folder / "objects" / name

    def catalogue(self) -> SqliteCatalogue:
        return SqliteCatalogue(self.database)

    def store(self) -> DirectoryObjectStore:
        return DirectoryObjectStore(self.folder / "objects")

    def environment(self) -> dict[str, str]:
        """For the command line."""
        return {
            "WATSON_BROKERS": self.settings.brokers,
            "WATSON_TOPIC_PREFIX": self.settings.topic_prefix,
            "WATSON_PARTITIONS": str(PARTITIONS),
            "WATSON_OBJECTS": self.settings.objects,
            "WATSON_CATALOGUE": self.settings.catalogue,
        }


@contextmanager
def written(brokers: str, folder: Path) -> Iterator[Ledger]:
    """Write the log, and a catalogue rebuilt from it; the topics go at the end."""
    settings = _settings(brokers, f"t{uuid.uuid4().hex[:10]}-", folder)
    ledger = Ledger(settings, folder)
    try:
        asyncio.run(_write(ledger))
        yield ledger
    finally:
        asyncio.run(_delete_topics(settings))


def key(ledger: Ledger, name: str) -> UUID:
    return image_key((ledger.source / name).as_uri())


def _settings(brokers: str, prefix: str, folder: Path) -> Settings:
    return Settings(
        brokers=brokers,
        topic_prefix=prefix,
        partitions=PARTITIONS,
        objects=f"file:{folder / 'objects'}",
        catalogue=f"sqlite:{folder / 'catalogue.db'}",
    )


async def _write(ledger: Ledger) -> None:
    await create_topics(ledger.settings)
    await publish(ledger.settings, _events(ledger))
    rows = ledger.catalogue()
    await rows.migrate()
    await rows.open()
    await rebuild(ledger.settings, rows)
    await rows.close()


def _events(ledger: Ledger) -> Iterator[Event]:
    ledger.source.mkdir()
    for name in "abc":
        (ledger.source / name).write_text(name)
    source = Source(kind="directory", uri=str(ledger.source))
    for job, listed in ((JOB, 3), (ODD, 1)):
        yield ManifestSubmitted(time=TIME, job=job, dataset="animals", source=source, model="m@1")
        yield JobChanged(
            time=TIME, job=job, dataset="animals", source=source, model="m@1", options=JobOptions(), state="complete",
            listed=listed,
        )  # fmt: skip
    for name in "ab":
        yield from _chain(ledger, JOB, name)
    yield _discovered(ledger, JOB, "c")
    failed = FailedRecord(topic="image-discovered", partition=0, offset=0, key=b"c", value=b"{}")
    yield quarantined(JOB, "c", image_key=key(ledger, "c"), failed=failed)
    yield from _chain(ledger, ODD, "x")
    *_, y = _chain(ledger, ODD, "y")
    x = _catalogued(ledger, ODD, "x")
    yield y.model_copy(update={"masks": x.masks})


def _chain(ledger: Ledger, job: str, name: str) -> Iterator[Event]:
    end = _catalogued(ledger, job, name)
    yield _discovered(ledger, job, name)
    shared = end.model_dump(include={"time", "job", "image_key", "dataset", "original", "normalised", "model"})
    yield ImagePreprocessed(**shared)
    masks = tuple(MaskSummary(**mask.model_dump(exclude={"mask_id"})) for mask in end.masks)
    names = {"weights_sha256", "segmentation_id", "masks_object", "masks_sha256"}
    yield ImageSegmented(**shared, **end.model_dump(include=names), masks=masks)
    yield end


def _discovered(ledger: Ledger, job: str, name: str) -> ImageDiscovered:
    uri = (ledger.source / name).as_uri()
    return ImageDiscovered(
        time=TIME,
        job=job,
        image_key=image_key(uri),
        dataset="animals",
        original=Original(uri=uri),
        index=0,
        model="m@1",
    )


def _catalogued(ledger: Ledger, job: str, name: str) -> ImageCatalogued:
    """As the builder makes it, but of this source, and with objects that are there."""
    made = catalogued(job, name, ("cat", "dog"), time=TIME)
    uri = (ledger.source / name).as_uri()
    picture, masks = f"preprocessed/{name}.jpg", f"masks/{name}.json.gz"
    return made.model_copy(
        update={
            "image_key": image_key(uri),
            "original": Original(uri=uri, sha256=SHA),
            "normalised": made.normalised.model_copy(
                update={"object": picture, "sha256": _object(ledger, picture, f"picture {name}")}
            ),
            "masks_object": masks,
            "masks_sha256": _object(ledger, masks, f"masks {name}"),
        }
    )


def _object(ledger: Ledger, name: str, content: str) -> str:
    file = ledger.object(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return hashlib.sha256(content.encode()).hexdigest()


async def _delete_topics(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers, request_timeout_ms=15_000)
    await admin.start()
    try:
        if made := [topic for topic in await admin.list_topics() if topic.startswith(settings.topic_prefix)]:
            await admin.delete_topics(made)
    finally:
        await admin.close()
