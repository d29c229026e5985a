from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from html.parser import HTMLParser

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.storage.events import quarantined
from tests.web.scene import Scene, rectangle, site
from watson.errors import ReasonCode
from watson.web.palette import colour

GREY = np.full((20, 30, 3), 128, np.uint8)
HOSTILE = "<script>alert(1)</script>\"'&"


class Reader(HTMLParser):
    """Elements with their attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [found[attribute] or "" for name, found in self.elements if name == tag and attribute in found]


async def read(client: ClientSession, path: str, status: int = 200, **query: str) -> Reader:
    async with client.get(path, params=query, headers={"Accept": "text/html"}) as answer:
        assert answer.status == status, await answer.text()
        assert answer.content_type == "text/html"
        return Reader(await answer.text())


async def populate(scene: Scene, *, name: str = "cat") -> str:
    await scene.add_job("j", "draining", discovered=10, preprocessed=9, segmented=7, catalogued=5, quarantined=1)
    masks = [
        rectangle((20, 30), slice(0, 8), slice(0, 8), category=name),
        rectangle((20, 30), slice(10, 15), slice(10, 15), category="dog", score=0.4),
    ]
    event = await scene.add_image("j", f"file:///photos/{name}.jpg", GREY, masks)
    await scene.add_dead_letter("j", f"file:///photos/{name}-broken.jpg", message=f"{name} ends early")
    await scene.add_dead_letter(None, "", reason=ReasonCode.UNDECODABLE_EVENT, value=name.encode())
    await scene.add_model("painted", (name, "dog"), on=name)
    return f"/jobs/j/images/{event.image_key}"


NAMELESS = {
    *("/", "/flow", "/datasets", "/submit", "/diff", "/login"),
    *("/jobs/j/pause", "/jobs/j/resume", "/jobs/j/cancel"),
}
"""Pages that show no name that `populate` is given."""

ALL_PAGES = [
    *("/", "/flow", "/jobs/j", "/jobs/j/gallery", "/jobs/j/dead-letters", "/dead-letters", "/models", "/datasets"),
    *("/submit", "/diff", "/login", "/jobs/j/pause", "/jobs/j/resume", "/jobs/j/cancel"),
]


async def test_the_overview_shows_each_job_with_its_bars(scene: Scene) -> None:
    await populate(scene)
    async with site(scene) as client:
        page = await read(client, "/")
    bars = {found["data-stage"]: (found["value"], found["max"]) for tag, found in page.elements if tag == "progress"}
    assert bars == {
        "discovered": ("10", "10"),
        "preprocessed": ("9", "10"),
        "segmented": ("7", "10"),
        "catalogued": ("5", "10"),
        "quarantined": ("1", "10"),
    }
    assert "draining" in page.text
    assert "4 in flight" in page.text


@pytest.mark.parametrize("path", ["/", "/flow", "/jobs/j"])
async def test_where_kafka_cannot_be_reached_the_pages_say_so(scene: Scene, path: str) -> None:
    await populate(scene)
    async with site(scene) as client, asyncio.timeout(20):
        while "Kafka cannot be reached" not in (page := await read(client, path)).text:  # noqa: ASYNC110 - a server has no event for it
            await asyncio.sleep(0.05)
    assert [found for tag, found in page.elements if tag == "p" and "data-trouble" in found and "hidden" not in found]
    assert not [found for _, found in page.elements if "data-role" in found]


async def test_the_funnel_tells_counts_and_shares(scene: Scene) -> None:
    await populate(scene)
    async with site(scene) as client:
        page = await read(client, "/jobs/j")
    for fact in ("90.0 %", "70.0 %", "50.0 %", "10.0 %"):
        assert fact in page.text
    assert "/jobs/j/dead-letters" in page.all("a", "href")


@pytest.mark.parametrize("path", ["/", "/jobs/j"])
async def test_a_paused_job_shows_its_state_and_the_reason(scene: Scene, path: str) -> None:
    event = await scene.add_job("j", "paused", discovered=10, quarantined=3)
    later = {"time": event.time + timedelta(seconds=1), "message": "3 pictures failed: <no device>"}
    await scene.catalogue.put_job(event.model_copy(update=later))
    async with site(scene) as client:
        page = await read(client, path)
    (badge,) = [found for tag, found in page.elements if tag == "span" and "data-state" in found]
    (problem,) = [found for tag, found in page.elements if tag == "p" and "data-message" in found]
    assert badge["class"] == "state paused"
    assert "hidden" not in problem
    assert "3 pictures failed: <no device>" in page.text


async def test_a_job_without_a_message_hides_its_place(scene: Scene) -> None:
    await scene.add_job("j", "listing", discovered=10)
    async with site(scene) as client:
        page = await read(client, "/jobs/j")
    (problem,) = [found for tag, found in page.elements if tag == "p" and "data-message" in found]
    assert "hidden" in problem


@pytest.mark.parametrize("path", ALL_PAGES)
async def test_every_page_says_so_when_there_is_nothing_yet(scene: Scene, path: str) -> None:
    await scene.add_job("j") if "/j" in path else None
    async with site(scene) as client:
        page = await read(client, path)
    assert page.all("main", "id") == ["main"]


async def test_every_link_and_file_of_the_pages_answers(scene: Scene) -> None:
    image = await populate(scene)
    async with site(scene) as client:
        addresses = set()
        for path in [*ALL_PAGES, image]:
            page = await read(client, path)
            for tag, attribute in (
                ("a", "href"),
                ("img", "src"),
                ("script", "src"),
                ("link", "href"),
            ):
                addresses.update(page.all(tag, attribute))
            forms = [found for tag, found in page.elements if tag == "form" and found["method"] == "get"]
            addresses.update(form["action"] for form in forms)
            addresses.update(page.all("div", "data-poll"))
        addresses -= {"#main", "/metrics"}  # metrics are mounted with the health pages
        addresses = {address for address in addresses if not address.endswith("/history")}  # these need a log
        assert len(addresses) > 15
        for address in addresses:
            async with client.get(address) as answer:
                assert answer.status == 200, address


async def test_hostile_names_are_shown_as_text(scene: Scene) -> None:
    image = await populate(scene, name=HOSTILE)
    async with site(scene) as client:
        for path in [*ALL_PAGES, image]:
            page = await read(client, path)
            scripts = [found for tag, found in page.elements if tag == "script"]
            assert all(found.get("src", "").startswith("/static/") for found in scripts), path
            assert not any(name.startswith("on") for _, found in page.elements for name in found), path
            assert path in NAMELESS or HOSTILE in page.text, path
        assert len(await shown(client, "/jobs/j", category=HOSTILE)) == 1


async def shown(client: ClientSession, path: str, **query: str) -> list[str]:
    """Pages of the pictures in a gallery."""
    page = await read(client, path, **query)
    return [found["href"] for tag, found in page.elements if tag == "a" and found.get("class") == "card"]


async def test_no_page_needs_anything_that_the_policy_forbids(scene: Scene) -> None:
    image = await populate(scene)
    async with site(scene) as client:
        for path in [*ALL_PAGES, image]:
            page = await read(client, path)
            assert not [tag for tag, found in page.elements if tag == "style" or "style" in found], path
            for tag, attribute in (("img", "src"), ("script", "src"), ("link", "href")):
                assert all(address.startswith("/") for address in page.all(tag, attribute)), path


async def test_the_job_page_tells_reasons_categories_and_settings(scene: Scene) -> None:
    await populate(scene)
    async with site(scene) as client:
        page = await read(client, "/jobs/j")
    assert "/jobs/j/dead-letters?reason=truncated" in page.all("a", "href")
    assert "/jobs/j?category=dog#gallery" in page.all("a", "href")
    for fact in ("animals", "painted@0123456789ab", "/photographs", "1024 px", "cat, dog"):
        assert fact in page.text


async def test_the_job_page_shows_some_pictures_and_leads_to_all_of_them(scene: Scene) -> None:
    await scene.add_job("j")
    for n in range(20):
        category = "cat" if n % 5 else "dog"
        await scene.add_image(
            "j", f"file:///{n}.jpg", GREY, [rectangle((20, 30), slice(5), slice(5), category=category)]
        )
    async with site(scene) as client:
        assert len(await shown(client, "/jobs/j")) == 12
        assert len(await shown(client, "/jobs/j", category="dog")) == 4
        assert "/jobs/j/gallery" in (await read(client, "/jobs/j")).all("a", "href")
        dogs = await read(client, "/jobs/j", category="dog")
    assert "/jobs/j/gallery?category=dog" in dogs.all("a", "href")


async def test_pictures_of_one_category_are_drawn_with_its_masks_alone(scene: Scene) -> None:
    await populate(scene)
    overlay = r"overlay\.png\?v=[0-9a-f]{12}&size=320"
    async with site(scene) as client:
        for path in ("/jobs/j", "/jobs/j/gallery"):
            every = await read(client, path)
            dogs = await read(client, path, category="dog")
            assert any(re.search(overlay + "$", address) for address in every.all("img", "src"))
            assert any(re.search(overlay + "&mask=1$", address) for address in dogs.all("img", "src"))


async def test_the_image_page_lists_masks_and_provenance(scene: Scene) -> None:
    image = await populate(scene)
    async with site(scene) as client:
        page = await read(client, image)
    for fact in ("file:///photos/cat.jpg", "painted@0123456789ab", "1-1024", "60 × 40 px, JPEG", "0.90", "10.7 %"):
        assert fact in page.text, fact
    boxes = [found for tag, found in page.elements if tag == "rect" and "data-box" in found]
    assert [(found["x"], found["width"], found["stroke"]) for found in boxes] == [
        ("0.0", "8.0", colour(0)),
        ("10.0", "5.0", colour(1)),
    ]
    assert "1 more was kept out" in page.text


async def test_masks_are_toggled_without_a_script(scene: Scene) -> None:
    image = await populate(scene)
    async with site(scene) as client:
        page = await read(client, f"{image}?chosen=1&mask=1")
        none = await read(client, f"{image}?chosen=1")
    (overlay,) = [found for tag, found in page.elements if found.get("id") == "overlay"]
    assert overlay["src"].endswith("&mask=1")
    checked = [found["value"] for tag, found in page.elements if found.get("name") == "mask" and "checked" in found]
    assert checked == ["1"]
    (overlay,) = [found for tag, found in none.elements if found.get("id") == "overlay"]
    assert "src" not in overlay
    assert "hidden" in overlay


async def test_a_letter_says_where_its_place_is_not_known_and_that_it_was_cut(scene: Scene) -> None:
    await scene.add_job("j")
    await scene.add_dead_letter("j", "file:///gone.jpg", reason=ReasonCode.VANISHED, offset=None)
    async with site(scene) as client:
        vanished = await read(client, "/jobs/j/dead-letters")
        await scene.add_dead_letter("j", "file:///large.jpg", cut=True)
        both = await read(client, "/jobs/j/dead-letters")
    assert "image-discovered/3/unknown" in vanished.text
    assert "cut: all of it stands in the log" not in vanished.text
    assert "cut: all of it stands in the log" in both.text


async def test_dead_letters_can_be_chosen_by_reason(scene: Scene) -> None:
    await populate(scene)
    await scene.add_dead_letter("j", "file:///photos/empty.jpg", reason=ReasonCode.EMPTY_FILE)
    async with site(scene) as client:
        page = await read(client, "/jobs/j/dead-letters", reason="empty-file")
        undecodable = await read(client, "/dead-letters")
    assert "empty.jpg" in page.text
    assert "broken.jpg" not in page.text
    assert "image-discovered/3/7" in page.text
    assert "undecodable-event" in undecodable.text


async def test_a_manifest_that_was_refused_has_its_letter_on_a_page_and_in_the_api(scene: Scene) -> None:
    letter = quarantined("newer", "x", reason=ReasonCode.UNSUPPORTED_VERSION, image_key=None)
    await scene.catalogue.put_dead_letter(letter, resolved=False)
    async with site(scene) as client:
        page = await read(client, "/jobs/newer/dead-letters")
        unknown = await read(client, "/jobs/newer", 404)
        async with client.get("/api/v1/jobs/newer/dead-letters") as answer:
            (found,) = (await answer.json())["dead_letters"]
    assert "unsupported-version" in page.text
    assert "there is a dead letter of it: /jobs/newer/dead-letters" in unknown.text
    assert found["reason"] == "unsupported-version"


async def test_an_unknown_job_is_a_page_that_says_so(scene: Scene) -> None:
    async with site(scene) as client:
        page = await read(client, "/jobs/none", 404)
    assert "There is no job named 'none'." in page.text


async def test_a_models_lineage_and_quality_are_shown(scene: Scene) -> None:
    await scene.add_model("painted", ("cat", "dog"), on="zoo")
    async with site(scene) as client, client.get("/models") as answer:
        text = await answer.text()
    for fact in ("white canvas", "nursery", "zoo", "1,234", "0.444", "iou/dog", '"brush"'):
        assert fact in text
