from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.web.scene import NO_BROKER, Scene, rectangle, site
from watson.errors import ReasonCode
from watson.storage import sqlite_find

GREY = np.full((20, 30, 3), 128, np.uint8)


async def get(client: ClientSession, path: str, status: int = 200, **query: str) -> Any:
    async with client.get(path, params=query) as answer:
        assert answer.status == status, await answer.text()
        assert answer.content_type == "application/json"
        return await answer.json()


async def follow(client: ClientSession, path: str, name: str, **query: str) -> list[list[Any]]:
    """All pages of a listing."""
    pages, after = [], {}
    while True:
        document = await get(client, path, **query, **after)
        pages.append(document[name])
        if document["cursor"] is None:
            return pages
        after = {"after": document["cursor"]}


async def test_a_job_has_its_counts_its_pace_and_its_address(scene: Scene) -> None:
    await scene.add_job("j", discovered=30, preprocessed=28, segmented=28, catalogued=25, quarantined=2)
    async with site(scene) as client:
        (job,) = (await get(client, "/api/v1/jobs"))["jobs"]
    assert job["counts"] == {
        "discovered": 30, "preprocessed": 28, "segmented": 28, "catalogued": 25, "quarantined": 2
    }  # fmt: skip
    assert (job["in_flight"], job["expected"], job["seconds"], job["rate"]) == (3, 30, 100.0, 0.27)
    assert job["submitted_at"] == "2026-03-14T12:00:00+00:00"
    assert job["links"]["self"] == "/api/v1/jobs/j"


async def test_a_job_alone_also_has_its_categories_and_its_reasons(scene: Scene) -> None:
    await scene.add_job("j")
    cat, dog = rectangle((20, 30), slice(0, 5), slice(0, 5)), rectangle((20, 30), slice(9), slice(9), category="dog")
    await scene.add_image("j", "file:///a.jpg", GREY, [cat, dog])
    await scene.add_image("j", "file:///b.jpg", GREY, [cat])
    await scene.add_dead_letter("j", "file:///c.jpg")
    await scene.add_dead_letter("j", "file:///d.jpg", reason=ReasonCode.EMPTY_FILE)
    await scene.add_dead_letter("j", "file:///e.jpg", resolved=True)
    async with site(scene) as client:
        job = await get(client, "/api/v1/jobs/j")
    assert job["categories"] == {"cat": 2, "dog": 1}
    assert job["quarantined_by_reason"] == {"truncated": 1, "empty-file": 1}
    assert job["quarantined_by_reason_complete"] is True


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_of_images_hold_each_image_once(scene: Scene, limit: int) -> None:
    await scene.add_job("j")
    events = [await scene.add_image("j", f"file:///{n}.jpg", GREY, []) for n in range(5)]
    async with site(scene) as client:
        pages = await follow(client, "/api/v1/jobs/j/images", "images", limit=str(limit))
    keys = [image["image_key"] for page in pages for image in page]
    assert sorted(keys) == sorted(str(event.image_key) for event in events)
    assert all(len(page) <= limit for page in pages)


async def test_images_can_be_chosen_by_category(scene: Scene) -> None:
    await scene.add_job("j")
    hostile = "a/b?c=d&e <i>"
    masks = [rectangle((20, 30), slice(n, n + 3), slice(3), category=hostile) for n in (0, 8)]
    event = await scene.add_image("j", "file:///a.jpg", GREY, masks)
    await scene.add_image("j", "file:///b.jpg", GREY, [rectangle((20, 30), slice(5), slice(5))])
    async with site(scene) as client:
        (image,) = (await get(client, "/api/v1/jobs/j/images", category=hostile))["images"]
        assert image["image_key"] == str(event.image_key)
        assert (await get(client, "/api/v1/jobs/j/images", category="none"))["images"] == []


async def test_images_can_be_looked_for_and_ordered(scene: Scene) -> None:
    await scene.add_job("j")
    for n, score in enumerate((0.2, 0.5, 0.9)):
        await scene.add_image("j", f"file:///{n}.jpg", GREY, [rectangle((20, 30), slice(6), slice(10), score=score)])
    await scene.add_image("j", "file:///empty.jpg", GREY, [])
    async with site(scene) as client:

        async def uris(**query: str) -> list[str]:
            pages = await follow(client, "/api/v1/jobs/j/images", "images", limit="1", **query)
            return [image["original"]["uri"].removeprefix("file:///") for page in pages for image in page]

        assert await uris(least_score="0.5", order="uncertainty") == ["1.jpg", "2.jpg"]
        assert await uris(nothing="1") == ["empty.jpg"]
        assert await uris(least_area="0.11") == []
        assert sorted(await uris(most_area="0.1")) == ["0.jpg", "1.jpg", "2.jpg"]
        assert await uris(order="uncertainty") == ["empty.jpg", "0.jpg", "1.jpg", "2.jpg"]  # its masks were rejected


async def test_a_search_that_stopped_on_its_way_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_find, "_IMAGES_WALKED", 3)
    await scene.add_job("j")
    for n in range(5):
        await scene.add_image("j", f"file:///{n}.jpg", GREY, [])
    async with site(scene) as client:
        first = await get(client, "/api/v1/jobs/j/images", least_score="0.5")
        second = await get(client, "/api/v1/jobs/j/images", least_score="0.5", after=first["cursor"])
    assert (first["images"], first["searched"]) == ([], 3)
    assert (second["images"], second["searched"], second["cursor"]) == ([], None, None)


async def test_pages_of_jobs_hold_each_job_once(scene: Scene) -> None:
    for n in range(5):
        await scene.add_job(f"j{n}")
    async with site(scene) as client:
        pages = await follow(client, "/api/v1/jobs", "jobs", limit="2")
    assert sorted(job["job"] for page in pages for job in page) == [f"j{n}" for n in range(5)]
    assert [len(page) for page in pages] == [2, 2, 1]


async def test_an_image_has_masks_provenance_and_addresses_that_answer(scene: Scene) -> None:
    await scene.add_job("j")
    event = await scene.add_image("j", "file:///a.jpg", GREY, [rectangle((20, 30), slice(5), slice(6))])
    async with site(scene) as client:
        image = await get(client, f"/api/v1/jobs/j/images/{event.image_key}")
        for address in image["links"].values():
            async with client.get(address) as answer:
                assert answer.status == 200, address
    assert image["original"]["uri"] == "file:///a.jpg"
    assert (image["masks"][0]["area"], image["masks"][0]["box"]) == (30, [0, 0, 6, 5])
    assert UUID(image["segmentation_id"]) == event.segmentation_id


async def test_dead_letters_say_where_the_record_stands(scene: Scene) -> None:
    await scene.add_job("j")
    await scene.add_dead_letter("j", "file:///a.jpg")
    await scene.add_dead_letter("j", "file:///b.jpg", reason=ReasonCode.EMPTY_FILE)
    async with site(scene) as client:
        (letter,) = (await get(client, "/api/v1/jobs/j/dead-letters", reason="truncated"))["dead_letters"]
        pages = await follow(client, "/api/v1/jobs/j/dead-letters", "dead_letters", limit="1")
    assert letter["uri"] == "file:///a.jpg"
    assert letter["record"] == {
        "topic": "image-discovered",
        "partition": 3,
        "offset": 7,
        "key": "k\ufffd",
        "size": 12,
        "cut": False,
        "excerpt": '{"job": "j"}',
    }
    assert len([letter for page in pages for letter in page]) == 2


async def test_undecodable_events_are_listed_apart(scene: Scene) -> None:
    await scene.add_dead_letter(None, "", reason=ReasonCode.UNDECODABLE_EVENT, value=b"\xff\x00")
    async with site(scene) as client:
        (letter,) = (await get(client, "/api/v1/dead-letters"))["dead_letters"]
    assert letter["job"] is None
    assert letter["record"]["excerpt"] == "\ufffd\x00"


async def test_models_and_datasets_are_listed(scene: Scene) -> None:
    await scene.add_model("painted", ("cat", "dog"), on="zoo")
    await scene.add_job("j", catalogued=3)
    async with site(scene) as client:
        (model,) = (await get(client, "/api/v1/models"))["models"]
        datasets = (await get(client, "/api/v1/datasets"))["datasets"]
    assert model["reference"] == "painted@0123456789ab"
    (evaluation,) = model["evaluations"]
    assert (evaluation["dataset"], evaluation["metrics"]["iou/dog"]) == ("zoo", 0.5)
    assert datasets == [{"dataset": "animals", "jobs": ["j"], "images": 3}]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs/none",
        "/api/v1/jobs/none/images",
        "/api/v1/jobs/none/dead-letters",
        f"/api/v1/jobs/none/images/{uuid4()}",
        f"/api/v1/jobs/j/images/{uuid4()}",
        "/api/v1/jobs/..%2f..%2fetc",
        "/api/v1/nothing",
    ],
)
async def test_what_is_not_there_is_404(scene: Scene, path: str) -> None:
    await scene.add_job("j")
    async with site(scene) as client:
        assert (await get(client, path, 404))["error"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/v1/jobs", {"limit": "0"}),
        ("/api/v1/jobs", {"limit": "501"}),
        ("/api/v1/jobs", {"limit": "9" * 4000}),
        ("/api/v1/jobs", {"limit": "-1"}),
        ("/api/v1/jobs", {"limit": "²"}),
        ("/api/v1/jobs", {"after": "no such cursor"}),
        ("/api/v1/jobs/j/images", {"after": "garbage"}),
        ("/api/v1/jobs/j/images", {"category": "cat", "after": "garbage"}),
        ("/api/v1/jobs/j/images", {"after": "x" * 5000}),
        ("/api/v1/jobs/j/images", {"order": "uncertainty", "after": "garbage"}),
        ("/api/v1/jobs/j/images", {"order": "age"}),
        ("/api/v1/jobs/j/images", {"least_score": "high"}),
        ("/api/v1/jobs/j/images", {"least_area": "0.5", "most_area": "0.4"}),
        ("/api/v1/jobs/j/images", {"nothing": "1", "category": "cat"}),
        ("/api/v1/jobs/j/images/not-a-uuid", {}),
        ("/api/v1/jobs/j/dead-letters", {"reason": "bad mood"}),
        ("/api/v1/jobs/j/dead-letters", {"after": "garbage"}),
    ],
)
async def test_what_makes_no_sense_is_400_and_says_what(scene: Scene, path: str, query: dict[str, str]) -> None:
    await scene.add_job("j")
    async with site(scene) as client:
        assert len((await get(client, path, 400, **query))["error"]) > 10


async def test_the_line_is_told_or_why_it_cannot_be(scene: Scene) -> None:
    await scene.add_job("j", "draining", discovered=30, catalogued=20)
    async with site(scene) as client:
        async with asyncio.timeout(20):
            while NO_BROKER not in (line := await get(client, "/api/v1/flow"))["trouble"] or not line["running_jobs"]:  # noqa: ASYNC110 - a server has no event for it
                await asyncio.sleep(0.05)
        job = await get(client, "/api/v1/jobs/j")
    assert line["stages"] == []
    assert (line["running_jobs"], line["images_per_second"], line["seconds_left"]) == (1, None, None)
    assert (job["timings"], NO_BROKER in job["timings_missing"]) == (None, True)
    assert job["now"]["images_per_second"] is None
