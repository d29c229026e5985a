"""Corrections b, j, k, n, o: fetching, handing over, and the end of a generation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from faust.types import TP

from tests.agents.transport.kit import OURS, SOURCE, Draining, Kind, both, eventually, make_consumer, message, records


@both
async def test_b_waiting_for_a_stopped_flow_waits_for_the_fetch_in_progress(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer.resume_partitions({SOURCE})
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow_fetch(*_: Any, **__: Any) -> Any:
        asked.set()
        await answer.wait()
        return records(0)

    consumer._getmany = slow_fetch
    async with Draining(consumer):
        await asked.wait()
        consumer.stop_flow()
        waiting = asyncio.create_task(consumer.wait_for_stopped_flow())
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        answer.set()
        assert not done, "did not wait"
        await asyncio.wait_for(waiting, 2)


@both
async def test_j_a_fetch_is_given_a_set_that_does_not_become_empty_under_it(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer.resume_partitions({SOURCE})
    async with Draining(consumer):
        await eventually(lambda: consumer.asked)
        asked = consumer.asked[0]
        consumer.pause_partitions({SOURCE})
        assert asked == {SOURCE}  # an empty set would mean all partitions to aiokafka


@both
async def test_k_a_hole_that_a_second_read_does_not_show_is_no_hole(kind: Kind, tmp_path: Path) -> None:
    delivered: list[int] = []

    async def deliver(received: Any) -> None:
        delivered.append(received.offset)

    consumer = make_consumer(kind, kind.app(tmp_path), deliver)
    consumer.resume_partitions({SOURCE})
    consumer._read_offset[SOURCE], consumer._committed_offset[SOURCE] = (-1, 0) if kind is OURS else (0, 0)
    consumer.batches = [records(0, 1, 4, 5)]
    consumer.after_seek = [records(2, 3, 4, 5)]
    async with Draining(consumer):
        await eventually(lambda: 5 in delivered)
    assert delivered == [0, 1, 2, 3, 4, 5]


async def test_k_a_hole_that_is_there_twice_is_committed_across(tmp_path: Path) -> None:
    app = OURS.app(tmp_path)

    async def finish(received: Any) -> None:
        received.refcount = 1
        received.ack(app.consumer)

    consumer = make_consumer(OURS, app, finish)
    consumer.resume_partitions({SOURCE})
    await consumer.perform_seek()
    consumer.batches = [records(0, 1, 4, 5)]
    consumer.after_seek = [records(4, 5)]
    async with Draining(consumer):
        await eventually(lambda: consumer._read_offset[SOURCE] == 5)
    await consumer.commit()
    assert consumer.commits == [{SOURCE: 6}]
    assert consumer.sought == [{SOURCE: 2}]


@both
async def test_n_a_changelog_record_of_a_partition_that_is_not_ours_is_dropped(kind: Kind, tmp_path: Path) -> None:
    delivered: list[TP] = []

    async def deliver(received: Any) -> None:
        delivered.append(received.tp)

    app = kind.app(tmp_path)
    consumer = make_consumer(kind, app, deliver)
    foreign = TP("some-changelog", 3)
    app.tables._changelogs[foreign.topic] = None
    consumer.resume_partitions({SOURCE, foreign})
    consumer.batches = [{**records(0, tp=foreign), **records(0)}]
    async with Draining(consumer):
        await eventually(lambda: SOURCE in delivered)
    assert foreign not in delivered


@both
async def test_o_waiting_for_events_in_progress_has_an_end(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    stuck = message(0)
    consumer._unacked_messages.add(stuck)
    waiting = asyncio.create_task(consumer.wait_empty())
    done, _ = await asyncio.wait({waiting}, timeout=1.5)
    consumer._stopped.set()
    stuck.acked = True
    assert done


async def test_waiting_for_events_in_progress_commits_what_is_finished(tmp_path: Path) -> None:
    consumer = make_consumer(OURS, OURS.app(tmp_path))
    await consumer.perform_seek()
    finished, stuck = message(0), message(1)
    consumer._unacked_messages.update({finished, stuck})
    consumer.ack(finished)
    await consumer.wait_empty()
    assert consumer.commits == [{SOURCE: 1}]


async def test_a_broker_that_is_away_does_not_hold_up_the_end_of_a_generation(tmp_path: Path) -> None:
    consumer = make_consumer(OURS, OURS.app(tmp_path))
    await consumer.perform_seek()
    consumer.ack(message(0))
    never = asyncio.Event()

    async def commit(_offsets: Any) -> bool:
        await never.wait()
        return True

    consumer._commit = commit
    await asyncio.wait_for(consumer.wait_empty(), 2)
    never.set()


async def test_a_commit_that_the_ending_thread_breaks_off_does_not_end_the_process(tmp_path: Path) -> None:
    """Found by the chaos suite: the cancellation came out of the stop, and the worker ended with code 1."""
    consumer = make_consumer(OURS, OURS.app(tmp_path))
    await consumer.perform_seek()
    consumer.ack(message(0))

    async def commit(_offsets: Any) -> bool:
        raise asyncio.CancelledError  # what call_thread raises when the thread's task was cancelled

    consumer._commit = commit
    await consumer.wait_empty()


async def test_records_behind_a_stopped_flow_are_not_counted_as_read(tmp_path: Path) -> None:
    blocked = asyncio.Event()

    async def deliver(received: Any) -> None:
        if received.offset == 1:
            blocked.set()
            await asyncio.Event().wait()  # a full queue

    consumer = make_consumer(OURS, OURS.app(tmp_path), deliver)
    consumer.resume_partitions({SOURCE})
    await consumer.perform_seek()
    consumer.batches = [records(0, 1, 2)]
    async with Draining(consumer):
        await asyncio.wait_for(blocked.wait(), 2)
        consumer.stop_flow()
        await asyncio.wait_for(consumer.wait_for_stopped_flow(), 2)
        assert consumer._read_offset[SOURCE] == 0


async def test_records_of_an_earlier_generation_are_dropped(tmp_path: Path) -> None:
    delivered: list[int] = []

    async def deliver(received: Any) -> None:
        delivered.append(received.offset)

    app = OURS.app(tmp_path)
    consumer = make_consumer(OURS, app, deliver)
    consumer.resume_partitions({SOURCE})
    await consumer.perform_seek()
    fetched = asyncio.Event()

    async def fetch(*_: Any, **__: Any) -> Any:
        if fetched.is_set():
            await asyncio.sleep(0.01)
            return {}
        app.consumer_generation_id += 1  # the group rebalances while the fetch is under way
        fetched.set()
        return records(0, 1)

    consumer._getmany = fetch
    async with Draining(consumer):
        await fetched.wait()
        await asyncio.sleep(0.05)
    assert delivered == []
