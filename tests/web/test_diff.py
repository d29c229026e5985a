"""Two jobs compared on a page."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.web.forms import text_of
from tests.web.scene import Scene, rectangle, site
from watson.model.segmenter import Instance
from watson.storage.sqlite import SqliteCatalogue
from watson.web.diff import Diffs

GREY = np.full((40, 60, 3), 128, np.uint8)
SHAPE = (40, 60)


def box(left: int, *, category: str = "cat") -> Instance:
    return rectangle(SHAPE, slice(5, 35), slice(left, left + 20), category=category)


async def two_jobs(scene: Scene, pictures: int = 3, *, category: str = "dog") -> None:
    """Of the pictures, the first has another category in the second job, the second lost a mask."""
    for job in ("before", "after"):
        await scene.add_job(job, catalogued=pictures)
    for n in range(pictures):
        masks = [box(5)] if n != 1 else [box(5), box(35)]
        await scene.add_image("before", f"file:///{n}.jpg", GREY, masks)
    for n in range(pictures):
        masks = [box(5, category=category)] if n == 0 else [box(5)]
        await scene.add_image("after", f"file:///{n}.jpg", GREY, masks, version="another")


async def test_the_page_counts_what_differs_and_shows_the_pictures_that_differ(scene: Scene) -> None:
    await two_jobs(scene)
    async with site(scene) as client:
        answer = await client.get("/diff?left=before&right=after")
        text, page = await text_of(answer), await answer.text()
        assert "Pictures compared 3 of them the same 1" in text
        assert "lost 1 gained 0 another category 1 another shape 0 unchanged 2" in text
        assert "cat 90% → dog 90%, overlap 100%" in text
        assert page.count('class="panel pair-of-pictures"') == 2
        assert page.count('class="outline lost"') == 1
        for source in {part.split('"')[0] for part in page.split('<img src="')[1:] if part.startswith("/jobs")}:
            async with client.get(source.replace("&amp;", "&")) as picture:
                assert picture.status == 200, source


async def test_a_program_gets_what_the_command_prints(scene: Scene) -> None:
    await two_jobs(scene)
    async with site(scene) as client, client.get("/api/v1/diff?left=before&right=after") as answer:
        document = await answer.json()
    assert answer.status == 200
    assert document["images"] == {"both": 3, "same": 1, "replaced": 0, "only_before": 0, "only_after": 0}
    assert document["complete"] is True


async def test_names_never_become_markup(scene: Scene) -> None:
    await two_jobs(scene, category="<script>alert(1)</script>\"'")
    async with site(scene) as client:
        page = await (await client.get("/diff?left=before&right=after")).text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


async def test_without_two_jobs_the_page_asks_for_them(scene: Scene) -> None:
    await scene.add_job("before")
    async with site(scene) as client:
        for query in ("", "?left=before", "?right=before", "?left=&right="):
            async with client.get(f"/diff{query}") as answer:
                assert answer.status == 200
                assert "mask by mask" in await answer.text()


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("left=before&right=before", 400, "the same job twice"),
        ("left=before&right=none", 404, "no job named"),
        ("left=%3Cscript%3E&right=before", 404, "no job named"),
    ],
)
async def test_what_cannot_be_compared_is_said(scene: Scene, query: str, status: int, said: str) -> None:
    await scene.add_job("before")
    async with site(scene) as client:
        for path in ("/diff", "/api/v1/diff"):
            async with client.get(f"{path}?{query}") as answer:
                assert answer.status == status
                assert said in (await answer.json())["error"]


async def test_jobs_that_agree_say_so(scene: Scene) -> None:
    for job in ("before", "after"):
        await scene.add_job(job, catalogued=1)
        await scene.add_image(job, "file:///0.jpg", GREY, [box(5)])
    async with site(scene) as client:
        assert "agree on every picture" in await text_of(await client.get("/diff?left=before&right=after"))


async def test_masks_that_are_gone_are_named_with_the_remedy(scene: Scene) -> None:
    await two_jobs(scene)
    async for keys in scene.objects.list("masks/"):
        for stat in keys:
            await scene.objects.delete(stat.key)
    async with site(scene) as client, client.get("/diff?left=before&right=after") as answer:
        assert answer.status == 404
        assert "--repair" in (await answer.json())["error"]


async def test_of_more_pictures_than_are_compared_it_is_said_that_they_are_not_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.web.diff.MOST_COMPARED", 2)
    await two_jobs(scene)
    async with site(scene) as client:
        async with client.get("/api/v1/diff?left=before&right=after") as answer:
            document = await answer.json()
        assert (document["images"]["both"], document["complete"]) == (2, False)
        assert "a fair sample" in await text_of(await client.get("/diff?left=before&right=after"))


async def test_while_it_is_compared_the_page_says_how_far_it_is_and_loads_itself_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_jobs(scene)
    asked, going = 0, asyncio.Event()

    class Slow(SqliteCatalogue):
        async def images(self, *args: Any, **more: Any) -> Any:
            nonlocal asked
            asked += 1
            await going.wait()
            return await super().images(*args, **more)

    monkeypatch.setattr("watson.web.diff._FIRST_WAIT_SECONDS", 0.1)
    slow = Slow(scene.catalogue._path)
    await slow.open()
    try:
        async with site(Scene(slow, scene.objects)) as client:
            for _ in range(3):  # one comparison, however often it is asked for
                page = await (await client.get("/diff?left=before&right=after")).text()
                assert 'http-equiv="refresh"' in page
                assert "0 of about 3 pictures" in page
            async with client.get("/api/v1/diff?left=before&right=after") as answer:
                assert (answer.status, await answer.json()) == (202, {"compared": 0, "of": 3})
            assert asked == 1
            going.set()
            monkeypatch.setattr("watson.web.diff._FIRST_WAIT_SECONDS", 30)
            page = await (await client.get("/diff?left=before&right=after")).text()
            assert 'http-equiv="refresh"' not in page
    finally:
        await slow.close()


async def test_more_comparisons_than_may_wait_are_refused_for_now(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.web.diff._FIRST_WAIT_SECONDS", 0.01)

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(Diffs, "_compare", never)
    for n in range(10):
        await scene.add_job(f"j{n}")
    async with site(scene) as client:
        found = []
        for n in range(1, 10):
            async with client.get(f"/api/v1/diff?left=j0&right=j{n}") as answer:
                found.append(answer.status)
    assert found == [202] * 8 + [503]
