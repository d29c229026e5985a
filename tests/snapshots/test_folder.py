"""A snapshot as a folder that training reads: pictures and masks are right, none is fetched twice, none is altered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.snapshots.conftest import Place
from tests.web.scene import Scene, rectangle
from watson.errors import ReasonCode, Refused
from watson.snapshots import Snapshot, take
from watson.snapshots.folder import write_folder

GREY = np.full((20, 30, 3), 90, np.uint8)


@pytest.fixture
async def snapshot(place: Place) -> Snapshot:
    """Two pictures, one with a cat and a dog, one with a dog."""
    scene = Scene(place.catalogue, place.objects)
    await scene.add_job("j", "complete", discovered=2, catalogued=2)
    cat, dog = (
        rectangle((20, 30), slice(0, 8), slice(0, 8)),
        rectangle((20, 30), slice(9, 15), slice(3, 9), category="dog"),
    )
    await scene.add_image("j", "file:///a.jpg", GREY, [cat, dog])
    await scene.add_image("j", "file:///b.jpg", GREY, [dog])
    return (await take(place.catalogue, place.objects, "animals")).snapshot


async def test_pictures_and_masks_are_those_of_the_snapshot(place: Place, snapshot: Snapshot, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    folder = await write_folder(place.objects, snapshot, tmp_path / "out", lambda done, all_: said.append((done, all_)))
    found = COCO(str(folder / "annotations" / "instances.json"))
    assert {category["name"] for category in found.dataset["categories"]} == {"cat", "dog"}
    assert len(found.imgs) == 2
    assert sorted(int(found.annToMask(one).sum()) for one in found.anns.values()) == [36, 36, 64]
    assert {image["file_name"] for image in found.imgs.values()} == {
        path.name for path in (folder / "images").iterdir()
    }
    assert said[-1] == (2, 2)


async def test_what_is_there_is_not_fetched_again(place: Place, snapshot: Snapshot, tmp_path: Path) -> None:
    folder = await write_folder(place.objects, snapshot, tmp_path / "out")
    (first, second) = sorted((folder / "images").iterdir())
    before = first.stat().st_mtime_ns
    _damage(second)
    await write_folder(place.objects, snapshot, folder)
    assert first.stat().st_mtime_ns == before
    assert second.stat().st_size > 1


@pytest.mark.parametrize("prefix", ["preprocessed/", "masks/"])
async def test_an_altered_object_is_not_taken(place: Place, snapshot: Snapshot, tmp_path: Path, prefix: str) -> None:
    key = next(key for key in place.objects_there() if key.startswith(prefix) and not key.endswith(".json"))
    await place.objects.put(key, b"altered")
    with pytest.raises(Refused, match=key) as refused:
        await write_folder(place.objects, snapshot, tmp_path / "out")
    assert refused.value.code is ReasonCode.OBJECT_ALTERED


async def test_the_folder_is_written_in_one_step(place: Place, snapshot: Snapshot, tmp_path: Path) -> None:
    folder = await write_folder(place.objects, snapshot, tmp_path / "out")
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert not any(name.endswith(".part") for name in names)
    assert json.loads((folder / "annotations" / "instances.json").read_bytes())["info"]["description"].endswith(
        snapshot.id
    )


def _damage(path: Path) -> None:
    path.write_bytes(b"x")
