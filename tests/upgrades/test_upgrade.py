"""Versions of events side by side in one log: the old is brought up to date, the unknown new waits and then passes."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.end_to_end import oracle
from tests.end_to_end.conftest import picture
from tests.end_to_end.line import Line
from tests.upgrades.tomorrow import as_tomorrow
from watson.agents.ports import partition_of
from watson.agents.publish import publish
from watson.events import Event, ImageDiscovered, JobOptions, ManifestSubmitted, Original, Source, image_key
from watson.model.registry import resolve
from watson.settings import Settings

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(600)]

CHAIN_ROLES = ("discover", "segment", "catalogue", "project")
TOMORROW = "tests.upgrades.tomorrow"
MODEL = "test-threshold"


class Job:
    """A list of pictures that may grow after it was listed."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name, self._settings, self._folder = name, settings, folder / name
        self._folder.mkdir()
        self.list = self._folder / "list.txt"
        self.list.touch()
        self.pictures = 0

    def add(self) -> ImageDiscovered:
        """One more picture; returns the event by which it would be discovered."""
        file = self._folder / f"{self.pictures}.jpg"
        file.write_bytes(picture(self.pictures))
        with self.list.open("a") as out:
            out.write(f"{file.as_uri()}\n")
        self.pictures += 1
        return ImageDiscovered(
            job=self.name,
            image_key=image_key(file.as_uri()),
            dataset="upgrade",
            original=Original(uri=file.as_uri()),
            index=self.pictures - 1,
            model=resolve(MODEL).reference,
            options=JobOptions(),
        )

    def submit(self) -> None:
        source = Source(kind="list", uri=str(self.list))
        manifest = ManifestSubmitted(job=self.name, dataset="upgrade", model=MODEL, source=source)
        asyncio.run(publish(self._settings, [manifest]))


def produce(settings: Settings, event: Event, raw: tuple[bytes, bytes, list[tuple[str, bytes]]]) -> None:
    """One record as it is, where its key belongs."""

    async def send() -> None:
        key, value, headers = raw
        home = partition_of(key, settings.partitions)
        async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
            await producer.send_and_wait(settings.topic(event.topic), value, key, home, headers=headers)

    asyncio.run(send())


def letters(line: Line, job: str) -> list[dict]:
    return json.loads(
        line.cli("dead-letters", "list", "--job", job, "--json", "--reason", "unsupported-version").stdout
    )


def counts(line: Line, job: str) -> tuple[int, int, int]:
    found = line.status(job)["counts"]
    return tuple(found.get(name, 0) for name in ("discovered", "catalogued", "quarantined"))


def test_old_versions_are_upcast_and_unknown_new_ones_wait_in_dead_letters_for_the_upgrade(
    line: Line, settings: Settings, tmp_path: Path
) -> None:
    first, second = Job("first", settings, tmp_path), Job("second", settings, tmp_path)
    for job in (first, second):
        job.add(), job.add()
    line.start("preprocess", *CHAIN_ROLES)
    first.submit()
    line.wait(lambda: line.complete("first"), 120, "the first job is complete")

    # an event of tomorrow's discover arrives, of a picture that today's discover does not know: today's stage cannot
    # read it, puts it aside whole, and goes on with the next
    unknown = first.add()
    raw = as_tomorrow(unknown)
    produce(settings, unknown, raw)
    asyncio.run(publish(settings, [first.add()]))
    line.wait(lambda: len(letters(line, "first")) == 1, 60, "it is in the dead letters")
    line.wait(lambda: counts(line, "first")[1] == 3, 60, "the worker goes on")
    (letter,) = letters(line, "first")
    assert letter["failed"]["topic"] == "image-discovered"
    assert base64.b64decode(letter["failed"]["value"]) == raw[1]
    assert [[name, base64.b64decode(text)] for name, text in letter["failed"]["headers"]] == [[*h] for h in raw[2]]
    assert letter["image_key"] == str(unknown.image_key)

    # preprocess is upgraded before those behind it: it reads today's events (an upcast), they cannot read its own
    upgrade(line, "preprocess")
    second.submit()
    line.wait(lambda: counts(line, "second") == (2, 0, 2), 60, "all that it makes waits in the dead letters")
    assert {said["failed"]["topic"] for said in letters(line, "second")} == {"preprocessed"}

    upgrade(line, *CHAIN_ROLES)
    for job in ("first", "second"):
        retried = line.cli("dead-letters", "retry", "--job", job, "--reason", "unsupported-version").stdout
        assert retried == f"sent {1 if job == 'first' else 2} again\n"
    line.wait(lambda: counts(line, "first") == (4, 4, 0), 90, "the first job's ledger closes")
    line.wait(lambda: counts(line, "second") == (2, 2, 0), 90, "the second job's ledger closes")

    # and an event of today's version, mid-run
    asyncio.run(publish(settings, [second.add()]))
    line.wait(lambda: counts(line, "second") == (3, 3, 0), 60, "it is upcast and processed")
    ended = oracle.consume(settings.brokers, settings.topic("catalogued"), settings.partitions)
    oracle.assert_each_once([event["image_key"] for event in ended], {event["image_key"] for event in ended})
    assert len(ended) == first.pictures + second.pictures
    for job in ("first", "second"):
        assert "nothing is off" in line.cli("audit", job, program=TOMORROW).stdout


def upgrade(line: Line, *roles: str) -> None:
    """Stop the roles' workers and start tomorrow's in their place: same identity, same state directory."""
    for role in roles:
        worker = line.workers[f"{role}-0"]
        assert worker.stop() == 0
        worker.program = TOMORROW
        worker.restart()
    line.wait(lambda: all(worker.ready() for worker in line.workers.values()), 120, "all workers are ready again")
