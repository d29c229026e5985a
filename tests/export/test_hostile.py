"""Rows and names made to do harm: nothing is written outside the dataset, and no name becomes code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.browser import browser_tab
from tests.export.conftest import JOB, Job, ellipse, plain
from tests.export.test_gallery import needs_browser
from watson.errors import ReasonCode
from watson.events import image_key, now
from watson.export.dataset import DatasetDamaged, export_dataset
from watson.export.names import StemRegistry
from watson.sources.uris import file_uri, s3_uri

CODE = "document.title='hacked'"
NAMES = [
    f"<img src=x onerror={CODE}>.jpg",
    f"</script><script>{CODE}</script>.jpg",
    f'"onmouseover="{CODE}" \'{CODE}\'.jpg',
    f"javascript:{CODE}.jpg",
    "${" + CODE + "}`{{7*7}}{% raw %}.jpg",
    "\u2028\u2029]]>--><!--.jpg",
    "__proto__",
    "constructor",
    "../../../../tmp/evil.jpg",
    "..\\..\\evil.jpg",
    "a\x1b[2J\x07\r\n.jpg",
    "\u202egpj.exe",
    "CON",
    "con.jpg",
    "CoN.png",
    "cat.jpg",
    "CAT.JPG",
    "%2e%2e%2fcat.jpg",
    "x" * 1000,
]


@st.composite
def addresses(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES) | st.text(max_size=120))
    folder = draw(st.sampled_from(["", "a/", "../", "a\0b/"]))
    return draw(st.sampled_from([lambda n: s3_uri("b", n), lambda n: f"s3://b/{n}", lambda n: n, _as_file]))(
        folder + name
    )


def _as_file(name: str) -> str:
    return file_uri(("/" + name).encode(errors="surrogatepass"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(addresses(), min_size=2, max_size=8, unique=True))
def test_names_of_files_are_safe_and_distinct_on_every_file_system(uris: list[str]) -> None:
    with StemRegistry() as names:
        stems = [names.take(uri, image_key(uri)) for uri in uris]
    for form in ("NFC", "NFD"):  # as macOS and others keep names; Windows and macOS take no notice of capitals
        assert len({unicodedata.normalize(form, stem).casefold() for stem in stems}) == len(stems)
    for stem in stems:
        assert Path("/dataset/images", f"{stem}.jpg").resolve().parent == Path("/dataset/images")
        assert len(f"{stem}-9999.png".encode()) <= 255
        assert stem.isprintable()
        assert not set(stem) & set('/\\:*?"<>| ')
        assert stem[0] not in ".-"
        assert stem[-1] not in ". "
        assert stem.partition(".")[0].casefold() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}


@pytest.mark.parametrize(
    "key", ["preprocessed/1-1024/x.html", "../../etc/passwd", "secrets/token.txt", "preprocessed/1-1024/x.jpg\n", ""]
)
async def test_a_row_that_names_an_object_of_another_kind_is_damage_and_its_suffix_becomes_no_file(
    job: Job, tmp_path: Path, key: str
) -> None:
    event = await job.add("s3://bucket/a.jpg", plain(), [])
    await job.catalogue.put_image(
        event.model_copy(update={"time": now(), "normalised": event.normalised.model_copy(update={"object": key})})
    )
    with pytest.raises(DatasetDamaged, match="not an object that Watson wrote"):
        await export_dataset(job.catalogue, job.objects, JOB, tmp_path / "out")
    assert not list((tmp_path / "out").glob("images/*"))


async def test_a_row_that_names_a_mask_twice_or_states_another_size_is_damage(job: Job, tmp_path: Path) -> None:
    event = await job.add("s3://bucket/a.jpg", plain(), [ellipse(plain(), (0.5, 0.5), (0.2, 0.2), 0, 0.9)])
    twice = event.model_copy(update={"masks": event.masks * 2})
    other = event.model_copy(update={"normalised": event.normalised.model_copy(update={"width": 10**9})})
    for row, why in ((twice, "a mask twice"), (other, "not of the size")):
        await job.catalogue.put_image(row.model_copy(update={"time": now()}))
        with pytest.raises(DatasetDamaged, match=why):
            await export_dataset(job.catalogue, job.objects, JOB, tmp_path / "out")


async def hostile_gallery(job: Job, out: Path) -> Path:
    """A picture of each hostile name with a mask of a hostile category, and letters of the same names."""
    picture = plain()
    for name in NAMES:
        shown = dataclasses.replace(ellipse(picture, (0.5, 0.5), (0.3, 0.3), 0, 0.9), category=name[:200])
        category = int.from_bytes(hashlib.sha256(name.encode()).digest()[:3], "big")
        await job.add(s3_uri("bucket", name), picture, [dataclasses.replace(shown, category_id=category)])
        await job.quarantine(s3_uri("bucket", f"broken/{name}"), ReasonCode.NOT_AN_IMAGE, f"begins with {name}")
    return (await export_dataset(job.catalogue, job.objects, JOB, out)).gallery


async def test_hostile_names_all_come_out_as_files_within_the_dataset(job: Job, tmp_path: Path) -> None:
    gallery = await hostile_gallery(job, tmp_path / "out")
    out = gallery.parent.resolve()
    coco = json.loads((out / "annotations/instances.json").read_text())
    files = [image["file_name"] for image in coco["images"]]
    assert len(set(files)) == len(NAMES)
    for name in files:
        assert (out / "images" / name).resolve().parent == out / "images"
    sums = (out / "SHA256SUMS").read_text().splitlines()
    assert all((out / line[66:]).is_file() for line in sums)
    assert not (tmp_path / "tmp").exists()


@needs_browser
async def test_no_hostile_name_or_category_becomes_code_in_the_gallery(job: Job, tmp_path: Path) -> None:
    gallery = await hostile_gallery(job, tmp_path / "out")
    async with browser_tab(tmp_path / "profile") as tab:
        await tab.open(gallery.as_uri())
        assert await tab.js("document.querySelectorAll('.card').length") == len(NAMES)
        for card in range(len(NAMES)):
            await tab.js(f"document.querySelectorAll('.card button')[{card}].click()")
            await tab.until("document.getElementById('view').open")
            await tab.js("document.getElementById('close').click()")
        await tab.until("!location.hash.includes('picture=')")  # the page has heard of the closing
        await tab.js("document.querySelectorAll('#categories button').forEach((button) => button.click())")
        assert await tab.js("document.title") == "street · Watson"
        assert await tab.js("document.querySelectorAll('script').length") == 2
        assert (
            await tab.js("document.querySelectorAll('[onerror], [onmouseover], a[href^=\"javascript:\"]').length") == 0
        )
        assert {request.partition(":")[0] for request in tab.requests} == {"file"}
        assert tab.complaints == []
