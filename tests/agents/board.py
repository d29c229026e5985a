"""Discover's board, tracker and listings around a log in memory."""

import asyncio

from tests.agents.fakes import MemoryLog, MemoryMarks, catalogued, quarantined, record_of
from watson.agents.jobs import JobBoard
from watson.agents.lister import Listings
from watson.agents.models import Resolved
from watson.agents.owners import next_owner
from watson.agents.ports import Outbox, partition_of
from watson.agents.tracker import Tracker
from watson.errors import ReasonCode, Refused
from watson.events import (
    REDRIVE,
    RETRY,
    ImageDiscovered,
    ImageEvent,
    ImageQuarantined,
    JobChanged,
    ManifestSubmitted,
    ModelRegistered,
    PartitionProgressed,
    Record,
    Source,
    decode,
)
from watson.settings import Settings

PARTITIONS = 4


async def known_model(reference):
    if reference == "unknown":
        raise Refused(ReasonCode.MODEL_UNKNOWN, "there is no model 'unknown'")
    brought = ModelRegistered(name="m", model_version="1", model_kind="k", weights_sha256="0" * 64, categories=("cat",))
    return Resolved(brought.key, brought)


def good(event: ImageDiscovered) -> ImageEvent:
    """What the chain makes of an image."""
    return catalogued().model_copy(update={"image_key": event.image_key, "job": event.job})


def bad(event: ImageDiscovered) -> ImageQuarantined:
    """What a bad deploy makes of any image."""
    letter = quarantined(reason=ReasonCode.MODEL_FAILED).model_copy(update={"message": "no device"})
    return letter.model_copy(update={"image_key": event.image_key, "job": event.job})


class Line:
    """Discover with everything around it in memory: what it sends comes back to it, as through Kafka."""

    def __init__(self, tmp_path, marks=None, **settings):
        usual = {"partitions": PARTITIONS, "page_size": 3, "credit_min": 4, "backoff": 0.001, "attempts": 3}
        self.settings = Settings(**(usual | settings))
        self.log = MemoryLog()
        self.images, self.job_marks = marks or (MemoryMarks(), MemoryMarks())
        box = Outbox(self.log, "discover", "", PARTITIONS)
        self.tracker = Tracker(self.images, box, self.settings)
        self.board = JobBoard(self.job_marks, box, known_model, self.settings)
        self.crashes = []
        self.listings = Listings(self.board, box, self.settings, self.crashes.append)
        self.read = 0
        self.lost = lambda _record: False
        self.end_of = good
        self.outcomes = {}

    async def start(self):
        for partition in range(PARTITIONS):
            owner = await next_owner(self.job_marks, partition)
            await self.tracker.assign(partition, owner)
            self.board.assign(partition, owner)

    async def submit(self, event):
        """A manifest, or what else the user wants of a job."""
        home = partition_of(event.job.encode(), PARTITIONS)
        return await self.board.handle(record_of(event, partition=home), event)

    async def turn(self, *, end=True):
        """Deliver what was sent, end the images that arrived, say the ledgers."""
        await asyncio.sleep(0.005)
        for record in self.log.records[self.read :]:
            self.read += 1
            event = decode(record)
            if self.lost(record):
                continue
            await self.deliver(record, event)
            if end and isinstance(event, ImageDiscovered):
                await self.end(record, event)
        await self.tracker.say()
        assert self.crashes == []

    async def end(self, record: Record, event: ImageDiscovered):
        """As the stages do: a repeat is dropped, one sent again has its outcome said again, a retry is a new try."""
        known, header = self.outcomes.get(event.id), record.header(REDRIVE)
        if known is not None and header is None:
            return
        if known is None or (header == RETRY and isinstance(known, ImageQuarantined)):
            known = self.outcomes[event.id] = self.end_of(event)
        await self.tracker.handle(record_of(known, partition=record.partition), known)

    async def deliver(self, record: Record, event):
        if isinstance(event, PartitionProgressed | JobChanged):
            await self.board.handle(record, event)
        else:
            await self.tracker.handle(record, event)

    async def until(self, state: str, job="job", turns=200, *, end=True):
        for _ in range(turns):
            await self.turn(end=end)
            if job in self.board.jobs and self.board.jobs[job].mark.state == state:
                return self.board.jobs[job]
        raise AssertionError(f"still {self.board.jobs[job].mark}")

    def sent(self) -> list[str]:
        return [event.original.uri for event in self.log.events(ImageDiscovered)]


def manifest(folder, job="job", **more) -> ManifestSubmitted:
    return ManifestSubmitted(job=job, dataset="data", source=Source(kind="directory", uri=str(folder)), **more)
