"""The flow as JSON: what the API answers, what the pages show, what the streams say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watson.web.flow.board import Board, JobPace, Sampled
from watson.web.flow.samples import BAR_SECONDS

__all__ = ["flow_document", "pace_document"]

STILL_SECONDS = 30.0
"""A stage that has work and commits nothing for so long is said not to move."""

_OPTIONAL = ("train",)
"""Roles without which pictures flow: one without workers and without work is not shown."""


def flow_document(board: Board, now: float) -> dict[str, Any]:
    """The line as a whole.

    ``trouble`` says why there are no ``stages``; null where there are. The ``state`` of one is ``busy``, ``idle``,
    ``rebalancing``, ``stuck`` (has lag and does not move), ``abandoned`` (has lag and no worker) or ``absent``.
    Rates are those of the last minute, null where it is not known yet; ``images_per_second`` and ``seconds_left`` are
    of all running jobs.
    """
    stages = [
        _stage(sampled)
        for sampled in board.stages(now)
        if sampled.group.role not in _OPTIONAL or sampled.group.workers or sampled.group.lag
    ]
    return {
        "trouble": board.unread,
        "stages": stages,
        "workers": sum(len(stage["workers"]) for stage in stages),
        "running_jobs": board.running,
        "images_per_second": _rounded(board.rate(now)),
        "seconds_left": _rounded(board.seconds_left(now)),
        "throughput": _throughput(board.bars(now)),
    }


def pace_document(pace: JobPace, in_flight: int, state: str) -> dict[str, Any]:
    """A job's present pace.

    ``seconds_left`` is null where nobody can know: while the source is being listed, and while nothing moves.
    """
    known = state == "draining" and pace.rate
    return {
        "images_per_second": _rounded(pace.rate),
        "stages_per_second": {stage: _rounded(rate) for stage, rate in (pace.stages or {}).items()},
        "seconds_left": _rounded(in_flight / pace.rate) if known and pace.rate else None,
        "throughput": _throughput(pace.bars),
    }


def _stage(sampled: Sampled) -> dict[str, Any]:
    group = sampled.group
    state, label, note = _verdict(sampled)
    return {
        "role": group.role,
        "state": state,
        "label": label,
        "note": note,
        "workers": [
            {"name": worker.name, "host": worker.host, "partitions": worker.partitions} for worker in group.workers
        ],
        "lag": group.lag,
        "events_per_second": _rounded(sampled.rate),
        "topics": [{"topic": topic.topic, "lag": topic.lag, "partitions": topic.lags} for topic in group.topics],
    }


def _verdict(sampled: Sampled) -> tuple[str, str, str]:
    """A word for the state of a stage, the same for people, and what they should know of it (may be empty)."""
    group = sampled.group
    if not group.workers:
        if group.lag:
            return "abandoned", "No worker", f"Events wait, and nobody works: watson worker {group.role}"
        return "absent", "No worker", "Nothing waits for one now"
    if group.moves_partitions:
        return "rebalancing", "Rebalancing", "Its partitions are being assigned"
    if not group.lag:
        return "idle", "Idle", ""
    if sampled.still >= STILL_SECONDS:
        still = int(sampled.still // 10 * 10)
        return "stuck", "Stuck", f"Events wait, and none was done for {still} s"
    return "busy", "Busy", ""


def _throughput(bars: Sequence[float | None]) -> dict[str, Any]:
    return {"bar_seconds": BAR_SECONDS, "bars": [_rounded(bar) for bar in bars]}


def _rounded(value: float | None) -> float | None:
    """As precise as anybody can read: what differs by less is no news."""
    return None if value is None else float(f"{value:.3g}")
