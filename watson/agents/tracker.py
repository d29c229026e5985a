"""The tracker: which images are in flight, and what to do for one that never ends.

It lives where the image lives: the partition of ``image-discovered``, ``catalogued`` and ``dead-letters`` is one and
the same number on one and the same worker, so no message has to travel to keep the ledger. What the lister needs
(credit, completion) goes to the job's home as `PartitionProgressed`, absolute numbers, a few times a second.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from time import time
from uuid import UUID

import structlog

from watson import metrics
from watson.agents.ports import Marks, Outbox
from watson.agents.quarantine import image_quarantined
from watson.agents.turns import Turns
from watson.errors import ReasonCode
from watson.events import (
    LISTED,
    ONCE,
    REDRIVE,
    RETRY,
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    PartitionProgressed,
    Record,
    RetryRequested,
    Stage,
    encode,
)
from watson.settings import Settings
from watson.stages.discover import Counts, ImageMark, Letter, image_mark_key, patience

__all__ = ["Tracker"]

log = structlog.get_logger(__name__)

SAID_SECONDS = 0.25
"""How often changed ledgers are said: the lister's credit comes back this late."""

CHECK_SECONDS = 2.0
"""How often overdue images are looked for."""

_ACCUSATION_LIMIT = 400
_RETRIES_AT_ONCE = 100

_REPEAT = Counts(listed=1)
"""What a further place in the listing that names a known image adds to the ledger."""

_SMOOTHING = 0.1
"""Weight of the newest latency in the typical one (exponential moving average)."""

_Noted = ImageDiscovered | ImageCatalogued | ImageQuarantined
"""What changes an image's mark."""


class Tracker:
    """Keeps the ledger of the partitions that this worker owns."""

    def __init__(self, marks: Marks, outbox: Outbox, settings: Settings) -> None:
        self._marks = marks
        self._outbox = outbox
        self._settings = settings
        self._counts: dict[int, dict[str, Counts]] = {}
        self._in_flight: dict[int, dict[bytes, ImageMark]] = {}
        self._owners: dict[int, int] = {}
        self._rounds: dict[tuple[int, str], int] = {}  # the newest one asked for
        self._followed: dict[tuple[int, str], int] = {}  # the newest one of which all are sent round again
        self._accusations: dict[tuple[int, str], Letter] = {}
        self._last_seen: dict[bytes, Stage] = {}  # how far an image in flight got: only for the message, so not kept
        self._typical: dict[str, float] = defaultdict(float)
        self._changed: set[tuple[str, int]] = set()
        self._said: dict[tuple[str, int], tuple[float, float]] = {}  # when the numbers were said, when they are again
        self._turns = Turns()

    # ------------------------------------------------------------------ partitions come and go
    async def assign(self, partition: int, owner: int) -> None:
        """Count a partition's marks, as its owner of that number; the table has been recovered.

        An accused image that was not retried in a round that was asked for is one that the last owner did not get to,
        or a mark that a worker believed dead wrote over a newer one: this round is yet to be followed.
        """
        self._forget_rounds(partition)
        counts: dict[str, Counts] = defaultdict(Counts)
        flying: dict[bytes, ImageMark] = {}
        accused: dict[str, int] = {}  # the least round in which one was retried
        unread = 0
        for number, (key, value) in enumerate(self._marks.items(partition)):
            if number % 500 == 0:
                await asyncio.sleep(0)  # a million marks take seconds
            job, image, *repeat = key.decode().split("/")
            if repeat:
                counts[job] += _REPEAT
                continue
            if not image:
                self._rounds[partition, job] = int(value)
                counts[job] += Counts()  # is said, though it be nothing
                continue
            mark = ImageMark.from_bytes(value)
            counts[job] += mark.counts
            self._note_accusation(partition, job, mark)
            unread += mark.unread is not None
            if mark.retriable:
                accused[job] = min(mark.round, accused.get(job, mark.round))
            if mark.in_flight:
                flying[key] = mark.model_copy(update={"sent_at": time()})  # the time nobody looked does not count
        if unread:
            log.warning(
                "a newer Watson kept images: only one such sends them again", partition=partition, images=unread
            )
        for job in counts:
            asked = self._round(partition, job)
            self._followed[partition, job] = min(asked, accused.get(job, asked))
        self._counts[partition], self._in_flight[partition], self._owners[partition] = counts, flying, owner
        self._changed.update((job, partition) for job in counts)

    def revoke(self, partition: int) -> None:
        """Forget a partition."""
        self._counts.pop(partition, None)
        for key in self._in_flight.pop(partition, {}):
            self._last_seen.pop(key, None)
        self._forget_rounds(partition)
        self._accusations = {at: letter for at, letter in self._accusations.items() if at[0] != partition}
        self._changed = {(job, p) for job, p in self._changed if p != partition}
        self._said = {(job, p): times for (job, p), times in self._said.items() if p != partition}

    def _forget_rounds(self, partition: int) -> None:
        self._rounds = {at: number for at, number in self._rounds.items() if at[0] != partition}
        self._followed = {at: number for at, number in self._followed.items() if at[0] != partition}

    # ------------------------------------------------------------------ events
    async def handle(self, record: Record, event: Event) -> str:
        """Take note of one event of the image topics, or send round again what a resumed job wants to be."""
        if isinstance(event, ImageDiscovered):
            return await self._update(record, event.job, event.image_key, event)
        if isinstance(event, ImageCatalogued):
            return await self._update(record, event.job, event.image_key, event)
        if isinstance(event, ImageQuarantined) and event.job is not None and event.image_key is not None:
            return await self._update(record, event.job, event.image_key, event)
        if isinstance(event, RetryRequested):
            return await self._retry_all(record.partition, event)
        if isinstance(event, ImagePreprocessed | ImageSegmented):
            key = image_mark_key(event.job, str(event.image_key))
            if key in self._in_flight.get(record.partition, {}):
                self._last_seen[key] = "segment" if isinstance(event, ImagePreprocessed) else "catalogue"
        return "ignored"

    async def _update(self, record: Record, job: str, image: UUID, event: _Noted) -> str:
        key = image_mark_key(job, str(image))
        async with self._turns.of(key):
            return await self._take_note(record, job, key, event)

    async def _take_note(self, record: Record, job: str, key: bytes, event: _Noted) -> str:
        partition = record.partition
        stored = self._marks.get(partition, key)
        before = ImageMark.from_bytes(stored) if stored is not None else ImageMark()
        if isinstance(event, ImageDiscovered):
            if before.is_repeated_by(event):
                if record.header(LISTED) == ONCE:  # the same place: others have moved it
                    return "repeated"
                return await self._repeated(partition, job, key + f"/{event.index}".encode())
            after = before.on_discovered(event, time(), self._round(partition, job))
        elif isinstance(event, ImageCatalogued):
            after = before.on_catalogued()
        else:
            after = before.on_quarantined(event.time, _accusation(event))
        after = await self._retried(partition, job, after)  # where it was in flight as its job was resumed
        if stored is not None and after == before:
            return "repeated"
        if before.in_flight and not after.in_flight:
            if before.event is not None:
                metrics.IMAGE_SECONDS.observe(max(0.0, (event.time - before.event.time).total_seconds()))
            self._typical[job] += _SMOOTHING * (time() - before.sent_at - self._typical[job])
        await self._write(partition, job, key, before, after)
        return "emitted"

    async def _repeated(self, partition: int, job: str, key: bytes) -> str:
        """Another place in the listing names the image. Each has its own mark: a list may do so a million times."""
        if self._marks.get(partition, key) is not None:
            return "repeated"
        await self._marks.put(partition, key, b"1")
        if partition in self._counts:  # else it was revoked meanwhile, and the next owner counts
            ledger = self._counts[partition]
            ledger[job] = ledger.get(job, Counts()) + _REPEAT
            self._changed.add((job, partition))
        return "emitted"

    async def _write(self, partition: int, job: str, key: bytes, before: ImageMark, after: ImageMark) -> None:
        await self._marks.put(partition, key, after.to_bytes())
        if partition not in self._counts:  # revoked meanwhile: the next owner counts
            return
        ledger, flying = self._counts[partition], self._in_flight[partition]
        ledger[job] = ledger.get(job, Counts()) + (after.counts - before.counts)
        self._changed.add((job, partition))
        self._note_accusation(partition, job, after)
        if after.in_flight:
            flying[key] = after
        else:
            flying.pop(key, None)
            self._last_seen.pop(key, None)

    def _round(self, partition: int, job: str) -> int:
        return self._rounds.get((partition, job), 0)

    def _note_accusation(self, partition: int, job: str, mark: ImageMark) -> None:
        known = self._accusations.get((partition, job))
        if mark.letter is not None and (known is None or mark.letter.time > known.time):
            self._accusations[partition, job] = mark.letter

    # ------------------------------------------------------------------ once more, where the deployment was at fault
    async def _retry_all(self, partition: int, request: RetryRequested) -> str:
        """Send a job's accused images of a partition round again. Each only once a round, however often it is asked."""
        job = request.job
        if partition != request.partition:
            return "ignored"
        if request.round > self._round(partition, job):
            # first, for what ends while this goes on: see `_update`
            await self._marks.put(partition, image_mark_key(job, ""), str(request.round).encode())
            self._rounds[partition, job] = request.round
        asked = self._round(partition, job)
        keys: list[bytes] = []
        for number, (key, value) in enumerate(self._marks.items(partition, image_mark_key(job, ""))):
            if number % 500 == 0:
                await asyncio.sleep(0)  # a million marks take seconds
            _, image, *repeat = key.decode().split("/")
            if image and not repeat and ImageMark.from_bytes(value).retriable:
                keys.append(key)
        for start in range(0, len(keys), _RETRIES_AT_ONCE):
            some = keys[start : start + _RETRIES_AT_ONCE]
            await asyncio.gather(*(self._retry_one(partition, job, key) for key in some))
        if partition in self._counts:  # else it was revoked meanwhile, and the next owner is asked again
            self._followed[partition, job] = asked
            self._changed.add((job, partition))  # the job's home waits to hear of this round
        return "emitted"

    async def _retry_one(self, partition: int, job: str, key: bytes) -> None:
        async with self._turns.of(key):
            stored = self._marks.get(partition, key)
            before = ImageMark.from_bytes(stored) if stored is not None else ImageMark()
            after = await self._retried(partition, job, before)
            if after != before:
                await self._write(partition, job, key, before, after)

    async def _retried(self, partition: int, job: str, mark: ImageMark) -> ImageMark:
        """Send an image round again where it is accused and was not yet retried in this round; its mark after that."""
        number = self._round(partition, job)
        if mark.event is None or not mark.retriable or mark.round >= number:
            return mark
        await self._outbox.send(mark.event, partition=partition, extra={REDRIVE: RETRY})
        return mark.on_retried(time(), number)

    # ------------------------------------------------------------------ saying it
    async def say(self) -> None:
        """Send the ledgers that changed to their jobs' homes."""
        changed, self._changed = self._changed, set()
        sends = []
        for job, partition in changed:
            if partition in self._counts:
                self._said[job, partition] = (time(), time() + self._settings.redrive_after)
                counts = self._counts[partition].get(job, Counts())
                newest = self._accusations.get((partition, job))
                sends.append(
                    PartitionProgressed(
                        job=job,
                        partition=partition,
                        owner=self._owners[partition],
                        round=self._followed.get((partition, job), 0),
                        accusation=newest.accusation if newest is not None and counts.accused else "",
                        **counts.model_dump(),
                    )
                )
        await asyncio.gather(*(self._outbox.send(event) for event in sends))
        metrics.TRACKED.set(sum(len(flying) for flying in self._in_flight.values()))

    async def say_again(self) -> None:
        """Say numbers that have not changed since; each time after twice as long as the time before.

        The last ones said of a job complete it. Should just that message be lost, nothing else would ever change, and
        no image would be overdue.
        """
        now = time()
        due = [place for place, (_, again) in self._said.items() if now >= again]
        waited = {place: now - self._said[place][0] for place in due}
        self._changed.update(due)
        await self.say()
        for place, seconds in waited.items():
            if place in self._said:  # else it was revoked meanwhile
                self._said[place] = (now, now + 2.0 * seconds)

    # ------------------------------------------------------------------ what never ends
    async def redrive_overdue(self) -> int:
        """Send overdue images again; quarantine those sent too often. Returns how many were overdue."""
        overdue = [
            (partition, key, mark)
            for partition, flying in self._in_flight.items()
            for key, mark in flying.items()
            if self._overdue(mark)
        ]
        for partition, key, mark in overdue:
            async with self._turns.of(key):
                await self._redrive(partition, key, mark)
        return len(overdue)

    def _overdue(self, mark: ImageMark) -> bool:
        job = mark.event.job if mark.event is not None else ""
        wait = patience(mark.redrives, self._typical[job], least=self._settings.redrive_after)
        return time() - mark.sent_at > wait

    async def _redrive(self, partition: int, key: bytes, mark: ImageMark) -> None:
        event = mark.event
        if event is None or self._in_flight.get(partition, {}).get(key) != mark:  # it ended or moved meanwhile
            return
        if mark.redrives >= self._settings.redrives:
            await self._vanished(partition, key, mark, event)
            return
        log.warning("image is overdue: sending it again", job=event.job, image=event.key, redrives=mark.redrives + 1)
        # a retried image stays one: the stage that failed it would say its old outcome again to any other header
        header = RETRY if mark.retries else str(mark.redrives + 1)
        await self._outbox.send(event, partition=partition, extra={REDRIVE: header})
        metrics.REDRIVES.inc()
        await self._write(partition, event.job, key, mark, mark.on_redriven(time()))

    async def _vanished(self, partition: int, key: bytes, mark: ImageMark, event: ImageDiscovered) -> None:
        stage = self._last_seen.get(key, "preprocess")
        raw_key, value, headers = encode(event, f"/watson/{self._outbox.role}")
        record = Record("image-discovered", partition, 0, raw_key, value, tuple(headers))
        message = f"sent {mark.redrives + 1} times and never ended; last expected of {stage}"
        letter = image_quarantined(
            record, event, stage, reason=ReasonCode.VANISHED, message=message, attempts=mark.redrives + 1
        )
        await self._outbox.send(letter, partition=partition)
        metrics.DEAD_LETTERS.labels("discover", ReasonCode.VANISHED.value).inc()
        # its own dead letter comes back through the topic and ends it; until then it is not overdue again
        self._in_flight[partition][key] = mark.model_copy(update={"sent_at": time()})


def _accusation(event: ImageQuarantined) -> str | None:
    """What to keep of a dead letter that accuses the deployment; None for others."""
    if not event.reason.accuses_deployment:
        return None
    # one line without control characters: it is shown in terminals
    message = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(event.message.split()))
    return f"{event.stage}: {event.reason}: {message}"[:_ACCUSATION_LIMIT]
