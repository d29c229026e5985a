from __future__ import annotations

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.web.gallery.test_pages import names, populate
from tests.web.scene import Scene, rectangle, site
from tests.web.test_pages import Reader, read
from watson.web.gallery import neighbours, pages

GREY = np.full((20, 30, 3), 128, np.uint8)


def ways(page: Reader) -> dict[str, str]:
    return {
        e["rel"]: e["href"] or "" for tag, e in page.elements if tag == "a" and e.get("rel") in ("prev", "next", "up")
    }


async def cards(client: ClientSession, address: str) -> list[str]:
    page = await read(client, address)
    return [e["href"] or "" for tag, e in page.elements if tag == "a" and e.get("class") == "open"]


@pytest.mark.parametrize("query", ["category=cat", "category=cat&order=uncertainty&hide=dog", "least_score=0.3"])
async def test_the_way_leads_through_all_pictures_of_the_filter_and_back(
    scene: Scene, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (neighbours, pages):
        monkeypatch.setattr(module, "ON_A_PAGE", 4)
    await populate(scene, 40)
    async with site(scene) as client:
        gallery = await read(client, f"/jobs/j/gallery?{query}")
        wanted = []
        page = gallery
        while True:
            wanted += names(page)
            if "next" not in ways(page):
                break
            page = await read(client, ways(page)["next"])
        address = (await cards(client, f"/jobs/j/gallery?{query}"))[0]
        seen = []
        while address:
            image = await read(client, address)
            seen += [e["alt"] for tag, e in image.elements if tag == "img" and e.get("id") == "picture"]
            if len(seen) == 2:
                before = await read(client, ways(image)["prev"])
                assert ways(before)["next"] == address
            address = ways(image).get("next", "")
        back = await cards(client, ways(image)["up"])
    assert len(wanted) > 8
    assert seen == wanted
    assert "prev" not in ways(gallery)
    assert len(back) in range(1, 5)


async def test_an_image_that_is_no_longer_in_the_filter_leads_back_to_the_gallery(scene: Scene) -> None:
    await scene.add_job("j")
    event = await scene.add_image("j", "file:///a.jpg", GREY, [rectangle((20, 30), slice(5), slice(5))])
    async with site(scene) as client:
        page = await read(client, f"/jobs/j/images/{event.image_key}?gallery=1&category=dog")
        alone = await read(client, f"/jobs/j/images/{event.image_key}")
        await read(client, f"/jobs/j/images/{event.image_key}?gallery=1&least_score=7", 400)
    assert ways(page) == {"up": "/jobs/j/gallery?category=dog"}
    assert ways(alone) == {}
    assert "/jobs/j/gallery" in alone.all("a", "href")


async def test_choosing_masks_without_a_script_keeps_the_way(scene: Scene) -> None:
    await scene.add_job("j")
    event = await scene.add_image("j", "file:///a.jpg", GREY, [rectangle((20, 30), slice(5), slice(5))])
    async with site(scene) as client:
        page = await read(client, f"/jobs/j/images/{event.image_key}?category=cat&gallery=1")
    hidden = [(e["name"], e["value"]) for tag, e in page.elements if tag == "input" and e.get("type") == "hidden"]
    assert hidden == [("chosen", "1"), ("category", "cat"), ("gallery", "1")]
