"""Corrections c, d, e, l, q: what may be committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.agents.transport.kit import OURS, SOURCE, Kind, both, make_consumer, message
from watson.agents.transport.offsets import CommittingConsumer


@both
async def test_c_the_message_behind_a_gap_is_no_part_of_the_gap(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer._committed_offset[SOURCE] = 0
    await consumer._add_gap(SOURCE, 3, 5)  # 3 and 4 do not exist; 5 is live and unfinished
    consumer._acked[SOURCE].extend([0, 1, 2, 6])
    assert consumer._new_offset(SOURCE) == 5


@both
async def test_d_a_commit_does_not_step_over_one_unfinished_message(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer._committed_offset[SOURCE] = 3
    consumer._acked[SOURCE].extend([4, 5, 6])
    assert consumer._new_offset(SOURCE) is None


@both
async def test_e_a_commit_of_zero_is_a_commit(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    await consumer.perform_seek()  # Kafka says 0
    consumer._acked[SOURCE].extend([1, 2])
    assert consumer._new_offset(SOURCE) is None


@both
async def test_e_a_transaction_marker_at_the_start_of_a_partition_does_not_stall_commits(
    kind: Kind, tmp_path: Path
) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer._committed_offset[SOURCE] = 4
    await consumer._add_gap(SOURCE, 4, 6)
    consumer._acked[SOURCE].extend([6, 7])
    await consumer._add_gap(SOURCE, 8, 9)
    consumer._acked[SOURCE].extend([9])
    assert consumer._new_offset(SOURCE) == 10


@both
async def test_l_a_commit_that_ends_after_a_seek_does_not_bring_back_the_older_mark(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer._committed_offset[SOURCE] = 0

    async def commit_during_a_rebalance(_offsets: Any) -> bool:
        consumer.kafka = {SOURCE: 9}  # the partition was elsewhere and came back
        await consumer.perform_seek()
        return True

    consumer._commit = commit_during_a_rebalance
    await consumer._commit_offsets({SOURCE: 3})
    assert consumer._committed_offset[SOURCE] == 9


@both
async def test_q_a_commit_that_failed_is_tried_again(kind: Kind, tmp_path: Path) -> None:
    consumer = make_consumer(kind, kind.app(tmp_path))
    consumer._committed_offset[SOURCE] = 0
    answers, asked = [False, True], []

    async def commit(offsets: Any) -> bool:
        asked.append(dict(offsets))
        return answers.pop(0)

    consumer._commit = commit
    for offset in (0, 1, 2):
        consumer.ack(message(offset))
    await consumer.commit()
    await consumer.commit()
    assert asked == [{SOURCE: 3}, {SOURCE: 3}]


async def test_acknowledgements_of_an_earlier_generation_are_ignored(tmp_path: Path) -> None:
    app = OURS.app(tmp_path)
    consumer = make_consumer(OURS, app)
    await consumer.perform_seek()
    late = message(0, generation=4)
    consumer._unacked_messages.add(late)
    app.consumer_generation_id = 5
    assert consumer.ack(late) is False
    assert consumer._acked[SOURCE] == []
    assert not consumer._unacked_messages
    assert consumer.ack(message(0, generation=5)) is True
    await consumer.commit()
    assert consumer.commits == [{SOURCE: 1}]


async def test_nothing_is_committed_after_a_record_was_lost(tmp_path: Path) -> None:
    app = OURS.app(tmp_path)
    consumer = make_consumer(OURS, app)
    await consumer.perform_seek()
    consumer.ack(message(0))
    app.poisoned = True
    assert await consumer.commit() is False
    assert consumer.commits == []


class _Books(CommittingConsumer):
    """The book-keeping alone."""

    def __init__(self, committed: int) -> None:
        self._committed_offset = {SOURCE: committed}
        self._acked: Any = {SOURCE: []}
        self._acked_index: Any = {SOURCE: set()}
        self._gap: Any = {SOURCE: []}


@given(st.integers(0, 50), st.permutations(range(12)), st.integers(0, 12))
def test_a_commit_never_passes_the_first_unfinished_message(base: int, order: list[int], finished: int) -> None:
    books = _Books(base)
    done = {base + offset for offset in order[:finished]}
    for offset in order[:finished]:
        books._acked[SOURCE].append(base + offset)
        books._committed_offset[SOURCE] = books._new_offset(SOURCE) or books._committed_offset[SOURCE]
    expected = next(offset for offset in range(base, base + 13) if offset not in done)
    assert books._committed_offset[SOURCE] == expected
