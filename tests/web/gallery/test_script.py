"""The gallery in a real browser: what the script draws, toggles and remembers."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession
from PIL import Image

from tests.export.browser import BINARY, Tab, browser_tab
from tests.web.scene import Scene, rectangle, site
from watson.events import ImageCatalogued
from watson.model.segmenter import Instance

SHAPE = (300, 400)
CANVAS = "document.querySelectorAll('.tile canvas')"


def needs_browser(test: Callable[..., Any]) -> Any:
    """Takes a few seconds for a browser to start, and a Chromium: skipped where there is none."""
    return pytest.mark.slow(pytest.mark.skipif(BINARY is None, reason="no Chromium is installed")(test))


def ellipse(rows: float, columns: float, height: float, width: float, category: str, score: float) -> Instance:
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    inside = ((y - rows) / height) ** 2 + ((x - columns) / width) ** 2 <= 1
    return Instance(0 if category == "cat" else 1, category, score, inside)


async def populate(scene: Scene) -> list[ImageCatalogued]:
    """Three pictures: a cat with a dog in it, a dog that leaves the picture, nothing. In the order of their keys."""
    await scene.add_job("j")
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    pixels = np.stack([y * 255 // SHAPE[0], x * 255 // SHAPE[1], np.full(SHAPE, 90)], -1).astype(np.uint8)
    masks = [
        [ellipse(150, 200, 110, 150, "cat", 0.9), ellipse(120, 180, 50.5, 40, "dog", 0.6)],
        [ellipse(280, 390, 90, 70, "dog", 0.8), rectangle(SHAPE, slice(0, 1), slice(0, 400), category="dog")],
        [],
    ]
    events = [await scene.add_image("j", f"file:///{n}.jpg", pixels, each) for n, each in enumerate(masks)]
    return sorted(events, key=lambda event: event.image_key.bytes)


@asynccontextmanager
async def opened(scene: Scene, tmp_path: Path, query: str = "") -> AsyncIterator[tuple[Tab, ClientSession]]:
    """The gallery, when all masks are drawn."""
    async with site(scene) as client, browser_tab(tmp_path / "profile") as tab:
        await tab.open(f"{client._base_url}/jobs/j/gallery{query}")
        await tab.until(f"[...{CANVAS}].every((one) => one.width > 1) && {CANVAS}.length > 0")
        yield tab, client
        assert tab.complaints == []


async def drawn(tab: Tab, key: object) -> np.ndarray:
    """The pixels of a card's canvas, (H, W, 4) uint8."""
    one = f"document.querySelector('.open[href*=\"{key}\"] canvas')"
    size = await tab.js(f"[{one}.height, {one}.width]")
    data = await tab.js(f"[...{one}.getContext('2d').getImageData(0, 0, {size[1]}, {size[0]}).data]")
    return np.array(data, np.uint8).reshape(*size, 4)


async def overlay(client: ClientSession, event: ImageCatalogued, query: str = "") -> np.ndarray:
    async with client.get(f"/jobs/j/images/{event.image_key}/overlay.png?size=320{query}") as answer:
        with Image.open(io.BytesIO(await answer.read())) as image:
            return np.asarray(image.convert("RGBA"))


def assert_same(found: np.ndarray, right: np.ndarray) -> None:
    assert found.shape == right.shape
    assert (found[..., 3] == right[..., 3]).all()
    seen = right[..., 3] > 0
    assert seen.any()
    assert np.abs(found[seen].astype(int) - right[seen]).max() <= 2  # a canvas keeps colours multiplied by their alpha


@needs_browser
async def test_the_browser_draws_what_the_server_would(scene: Scene, tmp_path: Path) -> None:
    events = [event for event in await populate(scene) if event.masks]
    async with opened(scene, tmp_path) as (tab, client):
        for event in events:
            assert_same(await drawn(tab, event.image_key), await overlay(client, event))
        boxes = await tab.js(
            "[...document.querySelectorAll('.tile .open')].filter((one) => one.querySelector('canvas')).map((one) => "
            "['img', 'canvas'].map((name) => { const box = one.querySelector(name).getBoundingClientRect();"
            "return [box.x, box.y, box.width, box.height].map(Math.round) }))"
        )
    assert len(boxes) == 2
    assert all(picture == masks for picture, masks in boxes), "masks lie on their picture"


@needs_browser
async def test_a_category_is_toggled_without_a_request_and_the_address_remembers(scene: Scene, tmp_path: Path) -> None:
    both = next(event for event in await populate(scene) if len({mask.category for mask in event.masks}) == 2)
    async with opened(scene, tmp_path) as (tab, client):
        asked = len(tab.requests)
        await tab.js("document.querySelector('[data-category=dog]').click()")
        assert_same(await drawn(tab, both.image_key), await overlay(client, both, "&mask=0"))
        assert await tab.js("location.search") == "?hide=dog"
        assert await tab.js("document.querySelector('[data-category=dog]').getAttribute('aria-pressed')") == "false"
        assert "hide=dog" in await tab.js("document.querySelector('.tile .open').getAttribute('href')")
        await tab.js("document.querySelector('[data-none]').click()")
        assert not (await drawn(tab, both.image_key)).any()
        assert await tab.js("location.search") == "?masks=0"
        await tab.js("document.querySelector('[data-category=cat]').click()")
        assert_same(await drawn(tab, both.image_key), await overlay(client, both, "&mask=0"))
        await tab.js("document.querySelector('[data-all]').click()")
        assert_same(await drawn(tab, both.image_key), await overlay(client, both))
        assert await tab.js("location.search") == ""
        assert len(tab.requests) == asked
    async with opened(scene, tmp_path, "?hide=dog") as (tab, client):
        assert_same(await drawn(tab, both.image_key), await overlay(client, both, "&mask=0"))


@needs_browser
async def test_a_mask_that_is_pointed_at_in_the_list_is_shown_alone(scene: Scene, tmp_path: Path) -> None:
    both = next(event for event in await populate(scene) if len({mask.category for mask in event.masks}) == 2)
    async with opened(scene, tmp_path, "?masks=0") as (tab, client):
        chip = f'document.querySelector(\'.tile:has([href*="{both.image_key}"]) [data-mask="1"]\')'
        pixels = f"{chip}.closest('.tile').querySelector('canvas').getContext('2d').getImageData(0, 0, 999, 999).data"
        await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)  # a tab without a window has no focus
        await tab.until("document.hasFocus()")
        await tab.js(f"{chip}.focus()")
        await tab.until(f"{pixels}.some(Boolean)")
        assert_same(await drawn(tab, both.image_key), await overlay(client, both, "&mask=1"))
        await tab.js(f"{chip}.blur()")
        await tab.until(f"!{pixels}.some(Boolean)")


@needs_browser
async def test_arrow_keys_walk_over_the_cards_enter_opens_and_escape_comes_back(scene: Scene, tmp_path: Path) -> None:
    events = await populate(scene)
    focused = "document.activeElement.title"
    async with opened(scene, tmp_path, "?size=small") as (tab, _):
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight", "ArrowRight", "ArrowRight"):
            await tab.press(key)
        assert await tab.js(focused) == events[2].original.uri.removeprefix("file:///")
        await tab.press("ArrowLeft")
        await tab.press("Enter")
        await tab.until(f"location.pathname.endsWith('{events[1].image_key}') && document.readyState === 'complete'")
        await tab.press("ArrowRight")
        await tab.until(f"location.pathname.endsWith('{events[2].image_key}') && document.readyState === 'complete'")
        await tab.press("Escape")
        await tab.until("location.pathname === '/jobs/j/gallery' && document.readyState === 'complete'")
        assert await tab.js("location.search") == "?size=small"


@needs_browser
async def test_a_filter_is_applied_when_it_is_changed_with_a_short_address(scene: Scene, tmp_path: Path) -> None:
    await populate(scene)
    async with opened(scene, tmp_path) as (tab, _):
        await tab.js("document.querySelector('[name=category][value=cat]').click()")
        await tab.until("location.search === '?category=cat' && document.readyState === 'complete'")
        assert await tab.js("document.querySelectorAll('.tile').length") == 1


@needs_browser
async def test_cards_grow_and_are_drawn_finer_then(scene: Scene, tmp_path: Path) -> None:
    await populate(scene)
    async with opened(scene, tmp_path) as (tab, _):
        before = await tab.js("document.querySelector('.tile img').getBoundingClientRect().height")
        await tab.js("document.querySelector('[data-size=large]').click()")
        await tab.until(f"[...{CANVAS}].every((one) => one.width === 400)")  # the whole picture
        after = await tab.js("document.querySelector('.tile img').getBoundingClientRect().height")
        assert await tab.js("location.search") == "?size=large"
    assert after > 1.5 * before
