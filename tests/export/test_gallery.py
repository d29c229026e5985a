from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.export.browser import BINARY, Tab, browser_tab
from tests.export.conftest import JOB, Job, ellipse, plain
from watson.errors import ReasonCode
from watson.export.dataset import export_dataset
from watson.export.drawing import outline


def needs_browser(test):
    """Takes a few seconds for a browser to start, and a Chromium: skipped where there is none."""
    return pytest.mark.slow(pytest.mark.skipif(BINARY is None, reason="no Chromium is installed")(test))


HOSTILE = "</script><img src=x onerror=document.title='hacked'>"


@pytest.fixture
async def gallery(small_job: Job, tmp_path: Path) -> Path:
    """Of four pictures, one with a name that would be code if it could."""
    await small_job.add(
        f"s3://bucket/{HOSTILE.replace('/', '_')}.jpg", plain(), [ellipse(plain(), (0.5, 0.5), (0.3, 0.3), 2, 0.7)]
    )
    await small_job.quarantine("s3://bucket/x.jpg", ReasonCode.NOT_AN_IMAGE, f"begins with {HOSTILE}")
    summary = await export_dataset(small_job.catalogue, small_job.objects, JOB, tmp_path / "out put #1")
    return summary.gallery


@pytest.fixture
async def tab(gallery: Path, tmp_path: Path) -> AsyncIterator[Tab]:
    """A browser in which the gallery is open, from disk."""
    async with browser_tab(tmp_path / "profile") as tab:
        await tab.open(gallery.as_uri())
        yield tab


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


async def test_names_and_messages_never_become_markup(gallery: Path) -> None:
    html = _text(gallery)
    assert "<img src=x" not in html
    assert "<b>bold</b>" not in html
    assert html.count("</script>") == 2  # of the data and of the script


async def test_only_the_pages_own_script_may_run(gallery: Path) -> None:
    html = _text(gallery)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;;" in html or f"script-src 'sha256-{digest}';" in html


@needs_browser
async def test_it_opens_from_disk_without_a_network_and_without_complaint(tab: Tab) -> None:
    assert await tab.js("document.querySelectorAll('.card').length") == 4
    await tab.until("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert {request.partition(":")[0] for request in tab.requests} == {"file"}
    assert tab.complaints == []
    assert await tab.js("document.title") == "street · Watson"


@needs_browser
async def test_each_mask_is_drawn_over_its_picture(tab: Tab) -> None:
    assert await tab.js("document.querySelectorAll('.card .outline').length") == 4
    # The first mask of the cat is an ellipse round (0.3, 0.5) of the picture, and reaches 0.2 to each side.
    box = await tab.js(
        "(() => { const svg = [...document.querySelectorAll('.card')].find((c) => c.innerText.includes('tabby'))"
        ".querySelector('svg'); const b = svg.lastElementChild.getBBox(); const v = svg.viewBox.baseVal;"
        "return [b.x / v.width, (b.x + b.width) / v.width]; })()"
    )
    assert box[0] < 0.3 < box[1] or box[0] < 0.7 < box[1]


@needs_browser
async def test_a_category_is_chosen_with_its_count_and_given_up_again(tab: Tab) -> None:
    cat = "[...document.querySelectorAll('#categories button')].find((b) => b.title === 'tabby cat')"
    assert await tab.js(f"{cat}.querySelector('.count').textContent") == "2"
    await tab.js(f"{cat}.click()")
    assert await tab.js("document.querySelectorAll('.card').length") == 2
    assert await tab.js("document.getElementById('shown').textContent") == "2 pictures, 2 masks"
    await tab.js(f"{cat}.click()")
    assert await tab.js("document.querySelectorAll('.card').length") == 4


@needs_browser
@pytest.mark.parametrize(
    ("control", "value", "left"),
    [("search", "WALL", 1), ("search", "tabby", 2), ("search", "zebra", 0), ("score", "0.8", 2), ("score", "1", 0)],
)
async def test_search_and_least_score_narrow_the_grid(tab: Tab, control: str, value: str, left: int) -> None:
    await tab.js(
        f"(() => {{ const c = document.getElementById('{control}'); c.value = '{value}';"
        "c.dispatchEvent(new Event('input')); })()"
    )
    assert await tab.js("document.querySelectorAll('.card').length") == left
    assert await tab.js("document.getElementById('none').hidden") == (left > 0)


@needs_browser
async def test_pictures_are_sorted_as_asked(tab: Tab) -> None:
    await tab.js(
        "(() => { const c = document.getElementById('sort'); c.value = 'score-up';"
        "c.dispatchEvent(new Event('change')); })()"
    )
    names = await tab.js("[...document.querySelectorAll('.file')].map((f) => f.textContent)")
    assert names[0] == "wall.jpg"
    assert names[1].startswith("<_script>") or "hacked" in names[1]


@needs_browser
async def test_the_large_view_opens_by_keyboard_steps_by_arrows_and_closes_by_escape(tab: Tab) -> None:
    await tab.js("document.querySelector('.card button').focus()")
    await tab.press("Enter")
    await tab.until("document.getElementById('view').open")
    assert await tab.js("document.getElementById('place').textContent") == "1 of 4"
    await tab.press("ArrowRight")
    await tab.until("document.getElementById('place').textContent === '2 of 4'")
    await tab.press("ArrowLeft")
    await tab.until("document.getElementById('place').textContent === '1 of 4'")
    await tab.press("ArrowLeft")
    await tab.press("ArrowRight")
    await tab.until("document.getElementById('place').textContent === '2 of 4'")
    await tab.press("Escape")
    await tab.until("!document.getElementById('view').open")
    # the focus goes back when the page has heard of the closing, a moment later
    await tab.until("document.activeElement.closest('.card') === document.querySelectorAll('.card')[1]")


@needs_browser
async def test_a_mask_is_switched_off_in_the_large_view(tab: Tab) -> None:
    await tab.js(
        "[...document.querySelectorAll('.card')].find((c) => c.innerText.includes('tabby')).firstChild.click()"
    )
    shown = "[...document.querySelectorAll('#stage .outline')].filter((p) => p.style.display !== 'none').length"
    before = await tab.js(shown)
    await tab.js("document.querySelector('#view-masks input').click()")
    assert await tab.js(shown) == before - 1


@needs_browser
async def test_the_large_view_tells_where_the_picture_comes_from(tab: Tab) -> None:
    await tab.js("[...document.querySelectorAll('.card')].find((c) => c.innerText.includes('wall')).firstChild.click()")
    facts = await tab.js("document.getElementById('view-facts').innerText")
    assert "file:///photographs/wall.jpg" in facts
    assert hashlib.sha256(b"file:///photographs/wall.jpg").hexdigest() in facts
    assert "ellipses@0123456789ab" in facts


@needs_browser
async def test_quarantined_pictures_stand_in_the_page_with_reason_and_message(tab: Tab) -> None:
    table = await tab.js("document.querySelector('#quarantine table').innerText")
    assert "broken.jpg" in table
    assert "truncated" in table
    assert HOSTILE in table


@needs_browser
async def test_every_picture_and_control_has_a_name_for_screen_readers(tab: Tab) -> None:
    await tab.js("document.querySelector('.card button').click()")
    assert await tab.js("[...document.images].every((image) => image.alt)")
    unnamed = (
        "[...document.querySelectorAll('button, input, select')].filter((c) => !(c.textContent.trim()"
        " || c.getAttribute('aria-label') || (c.labels && c.labels.length))).length"
    )
    assert await tab.js(unnamed) == 0


@needs_browser
async def test_thousands_of_pictures_are_drawn_as_they_come_into_view(tmp_path: Path, gallery: Path) -> None:
    html = _text(gallery)
    data = re.search(r'(<script type="application/json" id="data">)\[(\{.*?\})(,\{.*)?\](</script>)', html, re.DOTALL)
    assert data
    many = data[1] + "[" + ",".join([data[2]] * 4000) + "]" + data[4]
    await asyncio.to_thread(gallery.write_text, html[: data.start()] + many + html[data.end() :])
    async with browser_tab(tmp_path / "profile") as tab:
        await tab.open(gallery.as_uri())
        first = await tab.js("document.querySelectorAll('.card').length")
        assert 0 < first < 500
        await tab.js("window.scrollTo(0, document.body.scrollHeight)")
        await tab.until(f"document.querySelectorAll('.card').length > {first}")


def test_an_outline_keeps_holes_and_drops_specks() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[50:150, 50:150] = 1
    mask[80:120, 80:120] = 0
    mask[10, 10] = 1
    path = outline(mask)
    assert path.count("M") == 2
    assert "10,10" not in path


def test_the_outline_of_a_tiny_mask_is_not_lost() -> None:
    mask = np.zeros((2000, 2000), np.uint8)
    mask[5:8, 5:8] = 1
    assert outline(mask).count("M") == 1


def test_the_outline_of_an_empty_mask_is_empty() -> None:
    assert outline(np.zeros((20, 20), np.uint8)) == ""
