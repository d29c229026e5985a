from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from tests.compare.scene import HEIGHT, WIDTH, Scene, box
from watson.compare import labels
from watson.compare.labels import coco_of, jsonl_of, polygons, text_of
from watson.compare.side import Side
from watson.compare.suggest import Suggestions, suggest
from watson.events import Source
from watson.settings import Settings
from watson.sources import open_source

URI = "file:///photographs/sub/%C3%A4%20b.jpg"


@pytest.fixture
async def chosen(scene: Scene) -> Suggestions:
    ring = box("dog", 100, 20, 150, 100, score=0.5)
    ring.mask[40:60, 110:140] = False
    await scene.job("one", {"sub/ä b.jpg": [box("cat", 10, 10, 60, 60, score=0.4), ring]})
    return await suggest(await scene.side("one"), 5)


async def test_the_list_names_each_picture_with_its_reasons(chosen: Suggestions) -> None:
    (line,) = map(json.loads, jsonl_of(chosen.chosen).splitlines())
    assert line["uri"] == URI
    assert line["reasons"] == ["its 2 masks score 45% on average"]
    assert text_of(chosen.chosen).decode() == f"{URI}\n"


@pytest.mark.parametrize(("suffix", "write"), [("jsonl", jsonl_of), ("txt", text_of)])
async def test_the_list_is_one_that_a_job_can_be_submitted_with(
    chosen: Suggestions, tmp_path: Path, suffix: str, write
) -> None:
    file = tmp_path / f"next.{suffix}"
    file.write_bytes(write(chosen.chosen))
    async with open_source(Source(kind="list", uri=str(file)), Settings()) as lister:
        listed = [entry.uri async for batch in lister.batches(None, 10) for entry in batch.entries]
    assert listed == [URI]


async def test_the_coco_opens_in_pycocotools_with_the_masks_at_the_originals_size(
    scene: Scene, chosen: Suggestions, tmp_path: Path
) -> None:
    document = await coco_of(await scene.side("one"), chosen.chosen)
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(document))
    opened = COCO(file)
    (image,) = opened.imgs.values()
    assert (image["file_name"], image["width"], image["height"]) == ("sub/ä b.jpg", 2 * WIDTH, 2 * HEIGHT)
    assert {category["name"]: category["id"] for category in opened.cats.values()} == {"cat": 1, "dog": 2}
    cat, dog = sorted(opened.anns.values(), key=lambda annotation: annotation["category_id"])
    wanted = np.zeros((2 * HEIGHT, 2 * WIDTH), np.bool_)
    wanted[20:120, 20:120] = True
    drawn = opened.annToMask(cat).astype(np.bool_)
    assert np.array_equal(drawn, wanted)
    assert set(cat["segmentation"][0]) == {20.0, 120.0}  # the edges of pixels 10 and 59, at twice the size
    assert (cat["bbox"], cat["area"]) == ([20, 20, 100, 100], 10_000)
    assert len(dog["segmentation"]) == 1  # a polygon has no holes


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
@settings(deadline=None, max_examples=50)
def test_polygons_of_any_mask_are_ones_that_coco_reads(seed: int, density: float) -> None:
    pixels = (np.random.default_rng(seed).random((17, 23)) < density).astype(np.uint8)
    found = polygons(pixels, 2, 3)
    assert bool(found) is bool(pixels.any())
    for polygon in found:
        assert len(polygon) >= 6
        assert len(polygon) % 2 == 0
        assert all(0 <= value <= 46 for value in polygon[::2])
        assert all(0 <= value <= 51 for value in polygon[1::2])
        coco_masks.frPyObjects([polygon], 51, 46)


@pytest.mark.parametrize("side", [1, 2, 4, 16, 64])
def test_a_square_comes_back_from_its_polygon_as_it_was(side: int) -> None:
    pixels = np.zeros((100, 120), np.uint8)
    pixels[7 : 7 + side, 11 : 11 + side] = 1
    drawn = coco_masks.decode(coco_masks.merge(coco_masks.frPyObjects(polygons(pixels), 100, 120)))
    assert np.array_equal(drawn, pixels)


def test_pieces_that_nearly_touch_stay_apart() -> None:
    pixels = np.zeros((20, 20), np.uint8)
    pixels[2:6, 2:6] = pixels[2:6, 7:9] = 1
    assert len(polygons(pixels)) == 2


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://photos/2026/Stra%C3%9Fe%201%20%232%20(a).jpg", "Straße 1 #2 (a).jpg"),
        ("s3://photos/2026/100%25.jpg", "100%.jpg"),
        ("s3://photos/2026/sub/a.jpg", "sub/a.jpg"),
    ],
)
def test_names_of_an_s3_jobs_pictures_are_those_of_its_keys(uri: str, name: str) -> None:
    assert labels._relative(uri, Source(kind="s3", uri="s3://photos/2026/")) == name


@pytest.mark.parametrize(
    "source", [Source(kind="directory", uri="/elsewhere"), Source(kind="list", uri="/photographs/l.txt")]
)
async def test_a_picture_outside_the_source_has_its_bare_name(
    scene: Scene, chosen: Suggestions, source: Source
) -> None:
    row = await scene.row("one")
    row = row.model_copy(update={"job": row.job.model_copy(update={"source": source})})
    document = await coco_of(Side(scene.catalogue, scene.objects, row), chosen.chosen)
    assert [image["file_name"] for image in document["images"]] == ["ä b.jpg"]


def test_pictures_of_one_name_in_two_folders_keep_names_of_their_own() -> None:
    uris = ["file:///p/a/0.png", "file:///p/b/0.png", "file:///p/b/a%20b.png", "s3://bucket/0.png"]
    of_a_list = Source(kind="list", uri="/elsewhere/l.txt")
    assert list(labels._file_names(uris[:2], of_a_list).values()) == ["a/0.png", "b/0.png"]
    assert list(labels._file_names(uris[1:3], of_a_list).values()) == ["0.png", "a b.png"]
    assert len(set(labels._file_names(uris, of_a_list).values())) == 4
