from __future__ import annotations

import asyncio
import re

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.storage.events import found
from tests.web.scene import Scene, rectangle, site
from tests.web.test_pages import HOSTILE, Reader, read
from watson.storage import sqlite_find
from watson.web.palette import colour

GREY = np.full((20, 30, 3), 128, np.uint8)


async def populate(scene: Scene, number: int = 70) -> None:
    """Images 0 to ``number``: every third has a cat, every seventh a dog, scores rise with the number."""
    await scene.add_job("j", catalogued=number)
    for place in range(number):
        masks = []
        if place % 3 == 0:
            masks.append(("cat", place / 100, 2 * place))
        if place % 7 == 0:
            masks.append(("dog", 0.5, 100))
        await scene.catalogue.put_image(found("j", f"{place}.jpg", *masks))


def names(page: Reader) -> list[str]:
    return [element["title"] for tag, element in page.elements if tag == "a" and element.get("class") == "open"]


async def walk(client: ClientSession, path: str, **query: str) -> list[str]:
    seen: list[str] = []
    page = await read(client, path, **query)
    for _ in range(100):
        seen += names(page)
        further = [element["href"] for _, element in page.elements if element.get("rel") == "next"]
        if not further:
            return seen
        page = await read(client, further[0])
    raise AssertionError("the pages do not end")


async def test_pages_hold_each_picture_once(scene: Scene) -> None:
    await populate(scene)
    async with site(scene) as client:
        first = await read(client, "/jobs/j/gallery")
        seen = await walk(client, "/jobs/j/gallery")
    assert len(names(first)) == 60
    assert "60 on this page, 70 in all" in first.text
    assert sorted(seen) == sorted(f"{place}.jpg" for place in range(70))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"category": "dog"}, range(0, 70, 7)),
        ({"least_score": "0.505"}, range(51, 70, 3)),
        ({"least_score": "0.1", "most_score": "0.2", "category": "cat"}, (12, 15, 18)),
        ({"least_area": "0.5", "most_area": "0.52"}, (*range(0, 70, 7), 51)),
        ({"nothing": "1"}, [place for place in range(70) if place % 3 and place % 7]),
    ],
)
async def test_filters_show_the_pictures_that_are_like_that(
    scene: Scene, query: dict[str, str], wanted: range | tuple[int, ...] | list[int]
) -> None:
    await populate(scene)
    async with site(scene) as client:
        for order in ("", "uncertainty"):
            seen = await walk(client, "/jobs/j/gallery", **query, order=order)
            assert sorted(seen) == sorted(f"{place}.jpg" for place in wanted)


async def test_the_most_uncertain_come_first_where_that_is_wanted(scene: Scene) -> None:
    await populate(scene, 12)
    async with site(scene) as client:
        page = await read(client, "/jobs/j/gallery", order="uncertainty", category="cat")
    assert names(page)[:1] == ["0.jpg"]  # of the score 0, and contested by a dog
    assert names(page)[1:] == ["3.jpg", "6.jpg", "9.jpg"]
    assert "0.48" in page.text, "the uncertainty of 3.jpg: half of 1 less 0.03"


async def test_the_form_shows_what_is_asked_and_keeps_what_is_drawn(scene: Scene) -> None:
    await populate(scene, 10)
    query = "order=uncertainty&category=dog&category=gone&least_score=0.25&show=cat&size=large&masks=0"
    async with site(scene) as client:
        page = await read(client, f"/jobs/j/gallery?{query}")
    sent = [
        (element["name"], element.get("value"))
        for tag, element in page.elements
        if tag == "input"
        and "name" in element
        and ("checked" in element or element.get("type") in ("hidden", "number"))
    ]
    assert sorted(sent) == [
        ("category", "dog"), ("category", "gone"), ("least_area", ""), ("least_score", "0.25"),
        ("masks", "0"), ("most_area", ""), ("most_score", ""), ("show", "cat"), ("size", "large"),
    ]  # fmt: skip
    assert [element["value"] for tag, element in page.elements if tag == "option" and "selected" in element] == [
        "uncertainty"
    ]


async def test_the_legend_names_the_categories_of_the_page_with_colour_number_and_switch(scene: Scene) -> None:
    await scene.add_job("j")
    two = [rectangle((20, 30), slice(0, 8), slice(8)), rectangle((20, 30), slice(9, 15), slice(8), category="dog")]
    for name, masks in (("a", two), ("b", two[:1])):
        await scene.add_image("j", f"file:///{name}.jpg", GREY, masks)
    async with site(scene) as client:
        page = await read(client, "/jobs/j/gallery?hide=dog&least_score=0.5")
        switches = {e["data-category"]: e for tag, e in page.elements if tag == "a" and "data-category" in e}
        assert list(switches) == ["cat", "dog"]
        assert ("off" in (switches["cat"].get("class") or ""), "off" in (switches["dog"].get("class") or "")) == (
            False,
            True,
        )
        shown = await read(client, switches["dog"]["href"] or "")
        neither = await read(client, "/jobs/j/gallery?masks=0")
    assert re.sub(r"\s+", " ", page.text).count("cat 2 shown") == 1
    assert "least_score=0.5" in (switches["dog"]["href"] or "")
    assert colour(0) in [e["fill"] for tag, e in page.elements if tag == "rect"]
    overlays = [[a for a in p.all("img", "src") if "overlay.png" in a] for p in (page, shown, neither)]
    assert [len(each) for each in overlays] == [2, 2, 0]
    assert sum("mask=0" in address for address in overlays[0]) == 1, "of the picture with both, the cat alone"
    assert not [address for address in overlays[1] if "mask=" in address]


async def test_only_what_is_wanted_of_a_picture_is_drawn_and_the_rest_is_counted(scene: Scene) -> None:
    await scene.add_job("j")
    masks = [rectangle((20, 30), slice(n, n + 2), slice(5), score=0.9 - n / 20) for n in range(8)]
    masks.append(rectangle((20, 30), slice(10, 15), slice(10), category="dog", score=0.4))
    event = await scene.add_image("j", "file:///a.jpg", GREY, masks)
    async with site(scene) as client:
        cats = await read(client, "/jobs/j/gallery?category=cat")
        dogs = await read(client, "/jobs/j/gallery?category=dog")
        (drawing,) = dogs.all("a", "data-drawing")
        async with client.get(drawing) as answer:
            drawn = await answer.json()
            assert "immutable" in answer.headers["Cache-Control"]
        (chip,) = [e["href"] for tag, e in dogs.elements if tag == "a" and "data-mask" in e]
        alone = await read(client, chip or "")
    assert "+ 2" in cats.text
    assert "(1 other)" in cats.text
    assert "(8 others)" in dogs.text
    assert [(mask["index"], mask["category"]) for mask in drawn["masks"]] == [(8, "dog")]
    checked = [e["value"] for tag, e in alone.elements if tag == "input" and e.get("name") == "mask" and "checked" in e]
    assert checked == ["8"]
    assert event.masks[8].category == "dog"


async def test_a_page_that_ended_because_the_search_went_far_says_so_and_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_find, "_IMAGES_WALKED", 20)
    await populate(scene)
    async with site(scene) as client:
        page = await read(client, "/jobs/j/gallery", least_score="0.68")
        seen = await walk(client, "/jobs/j/gallery", least_score="0.68")
    assert "The search has looked at 20 pictures for this page" in page.text
    assert "No picture is like this" not in page.text
    assert seen == ["69.jpg"]


async def test_what_finds_nothing_says_so_and_how_to_see_all(scene: Scene) -> None:
    await populate(scene, 5)
    async with site(scene) as client:
        page = await read(client, "/jobs/j/gallery", category="unicorn")
        await scene.add_job("new")
        empty = await read(client, "/jobs/new/gallery")
    assert "No picture is like this" in page.text
    assert "/jobs/j/gallery" in page.all("a", "href")
    assert "No pictures are catalogued yet" in empty.text


@pytest.mark.parametrize("query", ["least_score=2", "after=garbage", "order=uncertainty&after=AAAA", "size=9"])
async def test_an_address_that_makes_no_sense_is_a_page_that_says_what(scene: Scene, query: str) -> None:
    await populate(scene, 3)
    async with site(scene) as client:
        page = await read(client, f"/jobs/j/gallery?{query}", 400)
    assert len(page.text.split()) > 10


async def test_an_unknown_job_has_no_gallery(scene: Scene) -> None:
    async with site(scene) as client:
        assert "There is no job named 'none'" in (await read(client, "/jobs/none/gallery", 404)).text


async def test_hostile_names_stay_names(scene: Scene) -> None:
    await scene.add_job("j")
    mask = rectangle((20, 30), slice(5), slice(5), category=HOSTILE)
    await scene.add_image("j", f"file:///{HOSTILE}.jpg", GREY, [mask])
    async with site(scene) as client:
        page = await read(client, "/jobs/j/gallery", category=HOSTILE, hide=HOSTILE)
        (switch,) = [e for tag, e in page.elements if tag == "a" and "data-category" in e]
        shown = await read(client, switch["href"] or "")
        again = await read(client, names_address(page))
    assert switch["data-category"] == HOSTILE
    assert len(names(shown)) == 1
    assert HOSTILE in again.text
    for each in (page, shown, again):
        assert all((e.get("src") or "").startswith("/static/") for tag, e in each.elements if tag == "script")
        assert not any(name.startswith("on") or name == "style" for _, e in each.elements for name in e)


def names_address(page: Reader) -> str:
    (address,) = [e["href"] for tag, e in page.elements if tag == "a" and e.get("class") == "open"]
    return address


async def test_the_categories_to_choose_from_do_not_hold_up_the_page(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await populate(scene, 10)
    counted, may_count = scene.catalogue.categories, asyncio.Event()

    async def slow(job: str) -> dict[str, int]:
        await may_count.wait()
        return {**await counted(job), "elsewhere": 7}

    monkeypatch.setattr(scene.catalogue, "categories", slow)
    async with site(scene) as client:
        assert await offered(client) == ["cat", "dog"], "those of the page, whose masks nobody has counted yet"
        may_count.set()
        async with asyncio.timeout(10):
            while await offered(client) != ["cat", "dog", "elsewhere"]:
                pass


async def offered(client: ClientSession) -> list[str]:
    page = await read(client, "/jobs/j/gallery")
    return sorted(e["value"] or "" for tag, e in page.elements if e.get("name") == "category" and "value" in e)
