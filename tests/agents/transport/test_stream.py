"""Corrections f and g: only what was finished is acknowledged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from faust.events import Event

from tests.agents.transport.kit import OURS, Kind, both, make_consumer, message


def make_stream(kind: Kind, directory: Path, *offsets: int, generation: int = 0) -> tuple[Any, list[Any]]:
    """A stream with events waiting in it."""
    app = kind.app(directory)
    make_consumer(kind, app)
    app.flow_control.resume()
    stream = kind.stream(app.topic("source", value_type=bytes).__aiter__(), app=app)
    messages = [message(offset, generation=generation) for offset in offsets]
    for received in messages:
        received.incref()
        stream.channel.queue.put_nowait(Event(app, None, b"v", None, received))
    return stream, messages


@both
async def test_f_an_event_whose_body_raises_is_not_acknowledged(kind: Kind, tmp_path: Path) -> None:
    stream, (first, second) = make_stream(kind, tmp_path, 0, 1)
    iterator = stream.__aiter__()
    await anext(iterator)
    await anext(iterator)  # the first is finished by asking for the second
    with suppress(ValueError):
        await iterator.athrow(ValueError("the agent's body raised"))
    assert first.acked
    assert not second.acked


@both
async def test_f_an_event_whose_agent_is_cancelled_is_not_acknowledged(kind: Kind, tmp_path: Path) -> None:
    stream, (only,) = make_stream(kind, tmp_path, 0)
    iterator = stream.__aiter__()
    await anext(iterator)
    await iterator.aclose()
    assert not only.acked


async def test_g_an_event_of_an_earlier_generation_is_skipped_unacknowledged(tmp_path: Path) -> None:
    stream, (old,) = make_stream(OURS, tmp_path, 0, generation=-7)
    current = message(1)
    current.incref()
    stream.channel.queue.put_nowait(Event(stream.app, None, b"v", None, current))
    iterator = stream.__aiter__()
    await anext(iterator)
    assert stream.current_event.message is current
    assert not old.acked


async def test_g_the_python_iterator_of_stock_acknowledges_what_it_skips(tmp_path: Path) -> None:
    """Why the compiled one is demanded; when this fails, Faust is cured and the demand can go."""
    stream, (old,) = make_stream(OURS, tmp_path, 0, generation=-7)
    current = message(1)
    current.incref()
    stream.channel.queue.put_nowait(Event(stream.app, None, b"v", None, current))
    await anext(stream._py_aiter())
    assert old.acked


async def test_manual_acknowledgement_acknowledges_nothing_by_itself(tmp_path: Path) -> None:
    stream, (first, second) = make_stream(OURS, tmp_path, 0, 1)
    events = stream.noack().events()
    held = [await anext(events), await anext(events)]
    assert not first.acked
    held[1].ack()
    assert second.acked
    assert not first.acked
