from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.services.places import free_port
from tests.web.scene import plain_app, serving
from watson.settings import Settings
from watson.web.health import mount_health

GOOD = {
    "role": "segment", "ready": True, "rebalancing": False, "recovering": False, "partitions": [0, 1],
    "stalled_for": 0.0, "poisoned": False,
}  # fmt: skip


async def ask(path: str, **state: Any) -> tuple[int, dict[str, Any]]:
    settings = Settings(web_port=free_port(), stall_timeout=60)
    app = plain_app(settings)
    mount_health(app, lambda: {**GOOD, **state}, settings)
    async with serving(app) as client, client.get(path) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_a_worker_at_work_is_alive_and_ready(path: str) -> None:
    status, document = await ask(path)
    assert status == 200
    assert document == {"ok": True, "problems": [], **GOOD}


@pytest.mark.parametrize(("stalled", "status"), [(29.9, 200), (30.1, 503)])
async def test_liveness_fails_at_half_of_the_stall_timeout(stalled: float, status: int) -> None:
    found, document = await ask("/health/live", stalled_for=stalled)
    assert found == status
    assert bool(document["problems"]) == (status == 503)


async def test_a_poisoned_worker_is_not_alive() -> None:
    status, document = await ask("/health/live", poisoned=True)
    assert status == 503
    assert "poisoned" in document["problems"][0]


async def test_a_worker_in_a_rebalance_is_alive_and_not_ready() -> None:
    state = {"ready": False, "rebalancing": True}
    assert (await ask("/health/live", **state))[0] == 200
    status, document = await ask("/health/ready", **state)
    assert status == 503
    assert document["problems"] == ["partitions are being assigned"]


async def test_a_worker_whose_tables_recover_says_so() -> None:
    _, document = await ask("/health/ready", ready=False, recovering=True)
    assert document["problems"] == ["tables recover from their changelogs"]


async def test_a_worker_that_is_not_ready_always_says_why() -> None:
    _, document = await ask("/health/ready", ready=False)
    assert document["problems"] == ["the worker is starting"]


async def test_metrics_are_in_prometheus_text_format() -> None:
    settings = Settings(web_port=free_port())
    app = plain_app(settings)
    mount_health(app, lambda: GOOD, settings)
    async with serving(app) as client, client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        names = {family.name for family in text_string_to_metric_families(await answer.text())}
    assert "watson_events" in names


async def test_metrics_say_whether_the_worker_is_ready_and_for_how_long_it_stalled() -> None:
    settings = Settings(web_port=free_port())
    app = plain_app(settings)
    state = {**GOOD, "ready": False, "stalled_for": 3.5}
    asked = []

    async def before() -> None:
        asked.append(True)

    mount_health(app, lambda: state, settings, before_metrics=before)
    async with serving(app) as client, client.get("/metrics") as answer:
        text = await answer.text()
    assert 'watson_ready{role="segment"} 0.0' in text
    assert 'watson_stalled_seconds{role="segment"} 3.5' in text
    assert asked == [True]
