"""What the discover role says of work that takes long and has an end: the watchdog must not take it for a stall."""

import asyncio

import pytest

from tests.agents.fakes import FakeDelivery, MemoryLog, MemoryMarks, delivered, discovered, record_of
from watson.agents.discover import _Discover
from watson.agents.loop import Loop
from watson.events import JobCancelled, RetryRequested
from watson.settings import Settings


class App(MemoryLog):
    """What the role needs of its app."""

    def mark_table(self, name, *, source):
        return MemoryMarks()

    def crash_soon(self, exc):
        raise exc


class Held:
    """A handler that is held up until it is released."""

    def __init__(self):
        self.begun, self.released = asyncio.Event(), asyncio.Event()

    async def __call__(self, record, event):
        self.begun.set()
        await self.released.wait()
        return "emitted"


@pytest.mark.parametrize(
    ("event", "part", "long"),
    [
        (RetryRequested(job="job", partition=2, round=1), "tracker", True),
        (JobCancelled(job="job"), "board", True),
        (discovered(), "tracker", False),
    ],
)
async def test_what_may_take_long_and_ends_by_itself_is_told_of_its_own_partition(event, part, long):
    app = App()
    role = _Discover(app, Settings())
    held = Held()
    getattr(role, part).handle = held
    delivery = FakeDelivery(record_of(event, partition=2))
    consuming = asyncio.ensure_future(Loop("discover", role.handle, role.undecodable, 2).consume(delivered([delivery])))
    await held.begun.wait()
    assert app.ends_by_itself((event.topic, 2)) is long
    assert not app.ends_by_itself((event.topic, 3))
    held.released.set()
    await consuming
    assert not app.ends_by_itself()
