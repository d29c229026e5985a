"""Probes and metrics of any role: ``/health/live``, ``/health/ready``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiohttp import web

from watson import metrics
from watson.settings import Settings
from watson.web.guard import add_page, guard, json_response

__all__ = ["mount_health"]

Health = Callable[[], dict[str, Any]]


def mount_health(
    app: faust.App, health: Health, settings: Settings, *, before_metrics: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Add the probes to a role's app, and take away Faust's own pages.

    ``/health/live`` fails (503: restart me) when the worker is poisoned, or has lag and made no progress for half of
    ``stall_timeout``: the orchestrator then acts before the worker ends itself. ``/health/ready`` fails (503) while
    partitions move and tables recover. Both say why in ``problems``.

    Args:
        app: before its web server has started.
        health: gives ``role``, ``ready``, ``rebalancing``, ``recovering``, ``stalled_for`` (seconds) and ``poisoned``.
        settings: ``stall_timeout`` and ``web_timeout`` are used.
        before_metrics: awaited before metrics are rendered: brings those up to date that nothing else does.
    """
    guard(app, time_limit=settings.web_timeout)

    async def live(_request: web.Request) -> web.Response:
        state = health()
        return _answer(state, _why_not_live(state, settings.stall_timeout / 2))

    async def ready(_request: web.Request) -> web.Response:
        state = health()
        return _answer(state, _why_not_ready(state))

    add_page(app, "/health/live", live)
    add_page(app, "/health/ready", ready)

    async def show(_request: web.Request) -> web.Response:
        if before_metrics is not None:
            await before_metrics()
        state = health()
        metrics.READY.labels(state["role"]).set(state["ready"])
        metrics.STALLED_SECONDS.labels(state["role"]).set(state["stalled_for"])
        return web.Response(
            body=metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE, "Cache-Control": "no-store"}
        )

    add_page(app, "/metrics", show)


def _why_not_live(state: dict[str, Any], patience: float) -> list[str]:
    problems = []
    if state["poisoned"]:
        problems.append("a message could not be handled and the worker must be restarted (poisoned)")
    if (stalled := state["stalled_for"]) > patience:
        problems.append(f"messages wait in a partition, and none of it was finished for {stalled:.0f} s")
    return problems


def _why_not_ready(state: dict[str, Any]) -> list[str]:
    if state["ready"]:
        return []
    problems = []
    if state["poisoned"]:
        problems.append("the worker must be restarted (poisoned)")
    if state["rebalancing"]:
        problems.append("partitions are being assigned")
    if state["recovering"]:
        problems.append("tables recover from their changelogs")
    return problems or ["the worker is starting"]


def _answer(state: dict[str, Any], problems: list[str]) -> web.Response:
    document = {"ok": not problems, "problems": problems, **state}
    return json_response(document, 503 if problems else 200, {"Cache-Control": "no-store"})
