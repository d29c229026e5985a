"""The pages in a browser, while what they show changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from aiohttp import ClientSession
from yarl import URL

from tests.agents.fakes import record_of
from tests.export.browser import BINARY, Tab, browser_tab
from tests.web.flow.rows import group
from tests.web.scene import Scene, site
from watson.errors import Retriable
from watson.events import ImageCatalogued
from watson.storage.catalogue import JobRow
from watson.web import stream
from watson.web.flow import sampler
from watson.web.flow.asking import LogWatch
from watson.web.flow.reading import GroupReading
from watson.web.history import Entry, History
from watson.web.log_search import Histories

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BINARY is None, reason="no Chromium")]

SHOWN = "document.getElementById('live').textContent"


class Line:
    """What Kafka would say of the line."""

    def __init__(self) -> None:
        self.groups: tuple[GroupReading, ...] = (group("discover", done=5), group("segment", done=10, lag=7))

    async def read(self) -> tuple[GroupReading, ...]:
        return self.groups


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    made = Line()
    monkeypatch.setattr(LogWatch, "read", lambda _: made.read())
    monkeypatch.setattr(sampler, "SAMPLE_SECONDS", 0.2)
    monkeypatch.setattr(stream, "_PERIOD_SECONDS", 0.2)
    return made


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browser_tab(tmp_path / "profile") as opened:
        yield opened


def text(selector: str) -> str:
    return f"document.querySelector('{selector}').textContent.trim()"


def address(client: ClientSession, path: str) -> str:
    return str(client._base_url.join(URL(path)))


async def test_the_overview_follows_the_jobs_and_the_line(scene: Scene, line: Line, tab: Tab) -> None:
    await scene.add_job("j", "draining", discovered=10, catalogued=2)
    async with site(scene) as client:
        await tab.open(address(client, "/"))
        await tab.until(f"{SHOWN} === 'Live'")
        await tab.until(f"{text('[data-role=segment] [data-lag]')} === '7'")
        await scene.add_job("j", "draining", seconds=101, discovered=10, catalogued=7)
        line.groups = (group("discover", done=5), group("segment", done=10, lag=1234, workers=0))
        await tab.until(f"{text('[data-job=j] [data-count=catalogued]')} === '7'")
        await tab.until(f"{text('[data-role=segment] [data-lag]')} === '1,234'")
        assert await tab.js("document.querySelector('[data-role=segment]').className") == "tile abandoned"
        assert "watson worker segment" in await tab.js(text("[data-role=segment] [data-note]"))
        assert await tab.js("document.querySelector('[data-job=j] [data-stage=catalogued]').value") == 7
        assert await tab.js("performance.getEntriesByName(location.href).length") == 1  # it was not loaded anew
    assert tab.complaints == []


async def test_the_job_page_follows_its_job_and_says_when_it_ends(scene: Scene, line: Line, tab: Tab) -> None:
    changed = await scene.add_job("j", "draining", discovered=10, catalogued=2)
    async with site(scene) as client:
        await tab.open(address(client, "/jobs/j"))
        await tab.until(f"{SHOWN} === 'Live'")
        assert await tab.js(text("[data-vital=job-flight]")) == "8"
        await scene.add_job("j", "draining", seconds=101, discovered=10, segmented=4, catalogued=3, quarantined=1)
        await tab.until(f"{text('[data-count=segmented]')} === '4'")
        await tab.until(f"{text('[data-share=segmented]')} === '40.0 %'")
        await tab.until(f"{text('[data-role-of=segment]')}.replace(/\\s+/g, ' ') === 'Busy 1 worker, 7 waiting'")
        over = changed.model_copy(update={"state": "complete", "time": changed.time + timedelta(seconds=200)})
        await scene.catalogue.put_job(over)
        await tab.until(f"{SHOWN} === 'j is complete'")
        assert await tab.js(text("[data-state]")) == "complete"
        assert not await tab.js("document.querySelector('[data-vital=job-left]').checkVisibility()")
    assert tab.complaints == []


async def test_sections_that_are_more_than_numbers_come_anew(scene: Scene, line: Line, tab: Tab) -> None:
    await scene.add_job("j", "draining", discovered=10, catalogued=2)
    async with site(scene) as client:
        await tab.open(address(client, "/jobs/j"))
        await tab.until(f"{SHOWN} === 'Live'")
        assert "None: every picture" in await tab.js(text("#quarantined"))
        await scene.add_dead_letter("j", "file:///broken.jpg")
        await tab.until(f"{text('#quarantined')}.includes('truncated')")  # summaries are kept for 15 s
    assert tab.complaints == []


@pytest.mark.parametrize("path", ["/", "/jobs/j", "/flow"])
async def test_the_script_shows_what_the_server_would(scene: Scene, line: Line, tab: Tab, path: str) -> None:
    await scene.add_job(
        "j", "paused", discovered=12345, preprocessed=11000, segmented=9876, catalogued=2, quarantined=7
    )
    words = (
        "(root) => [...root.querySelectorAll('[data-count], [data-share], [data-rate], [data-pace], [data-vital], "
        "[data-label], [data-workers], [data-lag], [data-work], [data-state], [data-spark], [data-peak]')]"
        ".map((e) => e.textContent.replace(/\\s+/g, ' ').trim() + (e.getAttribute('d') ?? ''))"
    )
    async with site(scene) as client:
        await tab.open(address(client, path))
        await tab.until(f"{SHOWN} === 'Live'")
        await tab.js(
            "fetch(location.href).then((a) => a.text()).then((t) => {"
            f"window.same = [({words})(document), ({words})(new DOMParser().parseFromString(t, 'text/html'))]; }})"
        )
        await tab.until("window.same !== undefined")
        shown, rendered = await tab.js("window.same")
    assert len(shown) >= 6
    assert shown == rendered


async def test_where_streams_are_refused_the_page_asks(
    scene: Scene, line: Line, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_STREAMS", 0)
    await scene.add_job("j", "draining", discovered=10, catalogued=2)
    async with site(scene) as client:
        await tab.open(address(client, "/"))
        await tab.until(f"{SHOWN} === 'Live'")
        await scene.add_job("j", "draining", seconds=101, discovered=10, catalogued=7)
        await tab.until(f"{text('[data-job=j] [data-count=catalogued]')} === '7'")
    assert any(request.endswith("/api/v1/flow") for request in tab.requests)


async def test_a_server_that_goes_away_is_said(scene: Scene, line: Line, tab: Tab) -> None:
    await scene.add_job("j", "draining", discovered=10, catalogued=2)
    async with site(scene) as client:
        await tab.open(address(client, "/"))
        await tab.until(f"{SHOWN} === 'Live'")
    await tab.until(f"{SHOWN}.startsWith('Not up to date')")


async def test_the_history_comes_into_the_image_page(
    scene: Scene, line: Line, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.add_job("job", discovered=1, catalogued=1)
    image = await scene.add_image("job", "file:///a.jpg", np.full((20, 30, 3), 128, np.uint8), [])
    known = False

    async def of(_: Histories, row: JobRow, key: UUID, end: ImageCatalogued | None) -> History:
        if not known:
            raise Retriable("no Kafka broker answers")
        assert end is not None
        return History(row.job.job, key, 2, (Entry(record_of(end, partition=2, offset=77), end),), ())

    monkeypatch.setattr(Histories, "of", of)
    async with site(scene) as client:
        await tab.open(address(client, f"/jobs/job/images/{image.image_key}"))
        await tab.js("document.querySelector('[data-load]').click()")
        await tab.until(f"{text('#events [role=status]')}.includes('no Kafka broker answers')")
        known = True
        await tab.js("document.querySelector('[data-load]').click()")
        await tab.until(f"{text('#events')}.includes('catalogued/2/77')")
        assert await tab.js("location.pathname") == f"/jobs/job/images/{image.image_key}"
