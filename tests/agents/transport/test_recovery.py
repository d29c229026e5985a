"""Corrections a, m, s, t, u: after a rebalance."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.tables.recovery import RebalanceAgain, ServiceStopped
from faust.types import TP

from tests.agents.transport.kit import OURS, SOURCE, Kind, both, make_consumer, nothing, transport_app


class Calls:
    """Notes the order of calls to a consumer and to flow control."""

    def __init__(self, app: Any, consumer: Any) -> None:
        self.made: list[str] = []
        for owner, name in (
            (consumer, "stop_flow"),
            (consumer, "wait_for_stopped_flow"),
            (consumer, "perform_seek"),
            (consumer, "resume_partitions"),
            (consumer, "resume_flow"),
            (app.flow_control, "resume"),
        ):
            setattr(owner, name, self._noting(name, getattr(owner, name)))
        app._fetcher.maybe_start = nothing

    def _noting(self, name: str, call: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.made.append(name)
            return call(*args, **kwargs)

        return noted


def make_recovery(kind: Kind, app: Any) -> Any:
    recovery = kind.recovery(app, app.tables)
    app.tables._recovery = recovery
    recovery._rebalances = app.rebalancing_count
    app._assignment = {SOURCE}
    return recovery


@both
@pytest.mark.parametrize("step", ["on_recovery_completed", "_resume_streams"])
async def test_a_nothing_flows_until_the_partitions_were_sought(kind: Kind, tmp_path: Path, step: str) -> None:
    app = kind.app(tmp_path)
    consumer = make_consumer(kind, app)
    recovery = make_recovery(kind, app)
    calls = Calls(app, consumer)
    await getattr(recovery, step)(generation_id=app.consumer_generation_id)
    sought = calls.made.index("perform_seek")
    assert calls.made[:sought] == ["stop_flow", "wait_for_stopped_flow"]
    assert calls.made[sought + 1 :] == ["resume_partitions", "resume", "resume_flow"]


@both
async def test_m_a_step_that_takes_too_long_starts_recovery_again(kind: Kind, tmp_path: Path) -> None:
    recovery = make_recovery(kind, kind.app(tmp_path))
    outcome: object = None
    try:
        await recovery._wait(asyncio.sleep(5), timeout=0.05)
    except (RebalanceAgain, ServiceStopped) as exc:
        outcome = type(exc)
    assert outcome is RebalanceAgain
    assert recovery.signal_recovery_start.is_set()


async def test_m_a_step_that_fails_starts_recovery_again(tmp_path: Path) -> None:
    recovery = make_recovery(OURS, OURS.app(tmp_path))

    async def fail() -> None:
        raise IllegalStateError("not assigned any more")

    with pytest.raises(RebalanceAgain):
        await recovery._wait(fail(), timeout=1)
    assert recovery.signal_recovery_start.is_set()


async def test_m_a_stop_is_still_a_stop(tmp_path: Path) -> None:
    recovery = make_recovery(OURS, OURS.app(tmp_path))
    recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(asyncio.sleep(5), timeout=1)


@both
async def test_s_the_end_of_recovery_is_not_missed_by_one_who_looks_late(kind: Kind, tmp_path: Path) -> None:
    recovery = make_recovery(kind, kind.app(tmp_path))
    recovery.signal_recovery_end.set()  # as the reader of the changelogs does, without a pause
    recovery.signal_recovery_end.clear()
    waiting = asyncio.ensure_future(recovery.signal_recovery_end.wait())
    done, _ = await asyncio.wait({waiting}, timeout=1)
    waiting.cancel()
    assert done


async def test_s_recovery_does_not_end_while_records_are_missing(tmp_path: Path) -> None:
    recovery = make_recovery(OURS, OURS.app(tmp_path))
    changelog = TP("c", 0)
    recovery.active_highwaters[changelog], recovery.active_offsets[changelog] = 9, 3
    waiting = asyncio.ensure_future(recovery.signal_recovery_end.wait())
    done, _ = await asyncio.wait({waiting}, timeout=0.8)
    assert not done
    recovery.active_offsets[changelog] = 9
    await asyncio.wait_for(waiting, 2)


@both
async def test_t_a_rebalance_that_has_only_begun_is_not_resumed_into(kind: Kind, tmp_path: Path) -> None:
    app = kind.app(tmp_path)
    consumer = make_consumer(kind, app)
    recovery = make_recovery(kind, app)
    Calls(app, consumer)

    async def seek() -> None:
        app.on_rebalance_start()  # the group's next generation is not known yet
        consumer.stop_flow()

    consumer.perform_seek = seek
    await recovery.on_recovery_completed(generation_id=app.consumer_generation_id)
    assert not consumer.flow_active
    assert app.rebalancing


@both
async def test_u_a_store_that_is_ahead_of_its_changelog_is_read_anew(kind: Kind, tmp_path: Path) -> None:
    recovery = make_recovery(kind, kind.app(tmp_path))
    changelog, discarded = TP("c", 0), []
    recovery.tp_to_table[changelog] = SimpleNamespace(discard_partition=discarded.append)
    recovery.active_highwaters[changelog] = 3
    offsets = Counter({changelog: 8})

    async def earliest(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    await recovery._build_offsets(SimpleNamespace(earliest_offsets=earliest), {changelog}, offsets, "active")
    assert offsets[changelog] == -1
    assert discarded == [0]


async def test_the_role_is_told_of_its_partitions_before_anything_flows(tmp_path: Path) -> None:
    app = transport_app(tmp_path)
    consumer = make_consumer(OURS, app)
    recovery = make_recovery(OURS, app)
    calls = Calls(app, consumer)
    told: list[tuple[set[int], set[int]]] = []

    @app.on_partitions_ready
    async def ready(assigned: set[int], revoked: set[int]) -> None:
        calls.made.append("told")
        told.append((assigned, revoked))

    app._assignment = {TP("source", 0), TP("source", 1)}
    await recovery.on_recovery_completed(app.consumer_generation_id)
    app._assignment = {TP("source", 1), TP("source", 2)}
    await recovery.on_recovery_completed(app.consumer_generation_id)
    assert told == [({0, 1}, set()), ({1, 2}, {0})]
    assert calls.made.index("told") < calls.made.index("resume_flow")


async def test_what_the_role_raises_about_its_partitions_is_not_swallowed(tmp_path: Path) -> None:
    app = transport_app(tmp_path)
    make_consumer(OURS, app)
    recovery = make_recovery(OURS, app)

    @app.on_partitions_ready
    async def ready(_assigned: set[int], _revoked: set[int]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await recovery.on_recovery_completed(app.consumer_generation_id)
    assert not app.is_ready()
