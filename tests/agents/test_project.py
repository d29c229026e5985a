"""project never gives up a row: where the catalogue stays away, the worker ends, and what it has not done waits."""

import pytest

from tests.agents.fakes import FakeDelivery, MemoryLog, MemoryMarks, catalogued, delivered, discovered, record_of
from watson.agents.loop import Loop
from watson.agents.project import CatalogueAwayError, _Project
from watson.errors import ReasonCode, Retriable
from watson.events import Event, ImageQuarantined
from watson.settings import Settings

TRIES = 3


class App(MemoryLog):
    """What the role needs of its app."""

    def mark_table(self, name, *, source):
        self.marks = MemoryMarks()
        return self.marks


class Rows:
    """A catalogue that is away for so many calls, and keeps what it was told after that."""

    def __init__(self, away):
        self.away = away
        self.calls = 0
        self.images, self.counts = [], []

    def _answer(self):
        self.calls += 1
        if self.calls <= self.away:
            raise Retriable("no node answers", ReasonCode.STORE_UNAVAILABLE)

    async def put_image(self, event, *, at=None):
        self._answer()
        self.images.append(event)

    async def put_count(self, count):
        self._answer()
        self.counts.append(count)


async def role(rows):
    app = App()
    made = _Project(app, rows, Settings(attempts=TRIES, backoff=0.001, backoff_max=0.001))
    await made.partitions_ready({0}, set())
    return app, made


async def consume(made, delivery):
    await Loop("project", made.handle, made.undecodable, window=4).consume(delivered([delivery]))


async def test_a_row_that_cannot_be_written_ends_the_worker_and_its_event_is_delivered_again():
    app, made = await role(Rows(away=1000))
    delivery = FakeDelivery(record_of(catalogued()))
    with pytest.raises(CatalogueAwayError, match=rf"store-unavailable: no node answers \({TRIES} tries\)"):
        await consume(made, delivery)
    assert not delivery.acked
    assert app.events(Event) == [], "it is no dead letter: the row was not given up"
    assert app.marks.parts.get(0, {}) == {}, "nor is it counted"


async def test_a_row_is_written_when_the_catalogue_is_back_within_the_tries():
    rows = Rows(away=TRIES - 1)
    _, made = await role(rows)
    delivery = FakeDelivery(record_of(catalogued()))
    await consume(made, delivery)
    assert delivery.acked
    assert len(rows.images) == 1


async def test_counts_that_cannot_be_written_end_the_worker_too():
    rows = Rows(away=0)
    app, made = await role(rows)
    await consume(made, FakeDelivery(record_of(discovered())))
    rows.away = 1000
    with pytest.raises(CatalogueAwayError, match="store-unavailable"):
        await made.flush()
    assert app.events(ImageQuarantined) == []
    rows.away = 0
    await made.flush()
    assert [(count.stage, count.count) for count in rows.counts] == [("discovered", 1)], "what was not written waits"
