"""The pages while there is a line: what Kafka says is put in its place."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.flow.rows import group
from tests.web.scene import Scene, site
from tests.web.test_pages import Reader, read
from watson.web.flow.asking import LogWatch
from watson.web.flow.reading import GroupReading, TopicLag, Worker

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = GroupReading(
        "segment", "Stable", (Worker(HOSTILE, HOSTILE, (0, 3)), Worker("b", "", None)),
        (TopicLag("preprocessed", (9, 9, 9), (0, 5, 2)),),
    )  # fmt: skip

    async def say(_: LogWatch) -> tuple[GroupReading, ...]:
        return (group("discover"), strange, group("catalogue", lag=3, workers=0))

    monkeypatch.setattr(LogWatch, "read", say)


async def shown(scene: Scene, path: str) -> Reader:
    async with site(scene) as client, asyncio.timeout(20):
        while "Kafka has not been asked yet" in (page := await read(client, path)).text:  # noqa: ASYNC110 - a server has no event for it
            await asyncio.sleep(0.05)
        return page


async def test_the_overview_has_a_tile_a_stage_with_its_state(scene: Scene, line: None) -> None:
    page = await shown(scene, "/")
    tiles = {found["data-role"]: found["class"] for tag, found in page.elements if tag == "li" and "data-role" in found}
    assert tiles == {"discover": "tile idle", "segment": "tile busy", "catalogue": "tile abandoned"}
    assert "watson worker catalogue" in page.text


async def test_the_lines_page_has_workers_and_lag_by_partition(scene: Scene, line: None) -> None:
    page = await shown(scene, "/flow")
    words = " ".join(page.text.split())
    for fact in (HOSTILE, "0, 3", "not said by this broker", "1: 5", "2: 2", "watson worker catalogue"):
        assert fact in words
    assert all(found.get("src", "").startswith("/static/") for tag, found in page.elements if tag == "script")
    assert {"discover", "segment", "catalogue"} <= set(page.all("section", "id"))


async def test_a_job_that_runs_says_who_works_on_it(scene: Scene, line: None) -> None:
    await scene.add_job("j", "draining", discovered=10)
    page = await shown(scene, "/jobs/j")
    words = " ".join(page.text.split())
    assert "Busy 2 workers, 7 waiting" in words
    assert "No worker 0 workers, 3 waiting" in words
