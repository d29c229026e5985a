from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.compare.scene import Scene, box
from tests.export.browser import BINARY, browser_tab
from watson.compare.difference import difference
from watson.compare.document import to_json
from watson.compare.page import write_page
from watson.errors import UserError

HOSTILE = "<img src=x onerror=document.title='hacked'>"


@pytest.fixture
def write(scene: Scene, tmp_path: Path):
    async def written(out: Path = tmp_path / "page #1") -> Path:
        found = await difference(await scene.side("one"), await scene.side("two"))
        return await write_page(await scene.side("one"), await scene.side("two"), found, out)

    return written


@pytest.fixture
async def jobs(scene: Scene) -> None:
    cat = box("cat", 10, 10, 60, 60)
    await scene.job("one", {"a.jpg": [cat, box("dog", 100, 20, 150, 100)], "b.jpg": [cat], f"{HOSTILE}.jpg": [cat]})
    await scene.job(
        "two",
        {
            "a.jpg": [box("cat", 10, 10, 60, 50), box(HOSTILE, 100, 20, 150, 100)],
            "b.jpg": [cat],
            f"{HOSTILE}.jpg": [],
        },
    )


async def test_the_page_shows_the_pictures_that_differ_and_not_those_that_do_not(jobs: None, write) -> None:
    html = (await write()).read_text(encoding="utf-8")
    assert html.count("<article") == 2
    assert 'title="file:///photographs/a.jpg"' in html
    assert "b.jpg" not in html


async def test_every_picture_has_two_sides_with_the_outline_of_each_mask(jobs: None, write) -> None:
    html = (await write()).read_text(encoding="utf-8")
    card = next(part for part in html.split("<article")[1:] if "/photographs/a.jpg" in part)
    sides = card.split("<figure>")[1:]
    assert [re.findall(r'<path class="outline ([\w-]+)"', side) for side in sides] == [
        ["changed-category", "changed-shape"],
        ["changed-category", "changed-shape"],
    ]
    assert "cat 90% → cat 90%, overlap 80%" in card
    lost = next(part for part in html.split("<article")[1:] if "/photographs/a.jpg" not in part)
    assert [len(re.findall("<path", side)) for side in lost.split("<figure>")[1:]] == [1, 0]
    assert "<b>lost</b> cat 90%" in lost


async def test_names_never_become_markup_and_nothing_may_run(jobs: None, write) -> None:
    html = (await write()).read_text(encoding="utf-8")
    assert "<img src=x" not in html
    assert "<script" not in html
    assert "default-src 'none'; img-src 'self' file:; style-src" in html


async def test_the_document_is_beside_the_page(jobs: None, write, scene: Scene) -> None:
    page = await write()
    found = await difference(await scene.side("one"), await scene.side("two"))
    assert json.loads((page.parent / "diff.json").read_text()) == to_json(found)


async def test_a_page_is_written_over_an_earlier_one(jobs: None, write, scene: Scene) -> None:
    page = await write()
    (page.parent / "pictures/9999.jpg").write_bytes(b"of an earlier page")
    assert await write() == page
    assert sorted(path.name for path in (page.parent / "pictures").iterdir()) == ["0001.jpg", "0002.jpg"]


async def test_a_directory_of_others_is_refused_and_left_alone(jobs: None, write, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        await write(out)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("index.html", "mine")]
    with pytest.raises(UserError, match="is a file"):
        await write(out / "index.html")


async def test_jobs_that_agree_say_so(scene: Scene, write) -> None:
    await scene.job("one", {"a": [box("cat", 10, 10, 60, 60)]})
    await scene.job("two", {"a": [box("cat", 10, 10, 60, 60)]})
    html = (await write()).read_text(encoding="utf-8")
    assert "The jobs agree on every picture" in html


@pytest.mark.slow
@pytest.mark.skipif(BINARY is None, reason="no Chromium is installed")
async def test_it_opens_from_disk_and_a_kind_of_change_can_be_hidden(jobs: None, write, tmp_path: Path) -> None:
    page = await write()
    async with browser_tab(tmp_path / "profile") as tab:
        await tab.open(page.as_uri())
        await tab.until("[...document.images].every((i) => i.complete || i.loading === 'lazy')")
        assert {request.partition(":")[0] for request in tab.requests} == {"file"}
        assert tab.complaints == []
        assert await tab.js("document.title") == "one and two · Watson"
        shown = (
            "[...document.querySelectorAll('.frame .outline')]"
            ".filter((path) => getComputedStyle(path).display !== 'none').length"
        )
        assert await tab.js(shown) == 5
        await tab.js("document.getElementById('show-lost').click()")
        assert await tab.js(shown) == 4
        assert await tab.js("[...document.images].every((image) => image.alt)")
