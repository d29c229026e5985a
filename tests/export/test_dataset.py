from __future__ import annotations

import asyncio
import hashlib
import subprocess
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.export.conftest import JOB, Job, ellipse, plain
from watson.errors import ReasonCode, UserError
from watson.events import image_key
from watson.export import staging
from watson.export.dataset import DatasetDamaged, export_dataset


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def _export(job: Job, out: Path) -> None:
    await export_dataset(job.catalogue, job.objects, JOB, out)


async def test_pycocotools_opens_the_annotations_and_finds_the_same_masks(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = await export_dataset(small_job.catalogue, small_job.objects, JOB, out)
    coco = COCO(out / "annotations/instances.json")
    assert (summary.pictures, summary.masks, summary.quarantined) == (3, 3, 1)
    assert len(coco.imgs) == 3
    assert len(coco.anns) == 3
    for annotation in coco.loadAnns(coco.getAnnIds()):
        (image,) = coco.loadImgs(annotation["image_id"])
        mask = coco.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"])
        assert mask.sum() == annotation["area"]
        columns = np.flatnonzero(mask.any(axis=0))
        assert annotation["bbox"][0] == columns[0]
        assert annotation["bbox"][2] == columns[-1] - columns[0] + 1
        with Image.open(out / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
    names = {category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert names == {"tabby cat", '<b>bold</b> & "quoted"'}


async def test_each_mask_png_is_the_mask_of_its_annotation(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    coco = COCO(out / "annotations/instances.json")
    pngs = set()
    for number in coco.getImgIds():
        stem = Path(coco.imgs[number]["file_name"]).stem
        for index, annotation in enumerate(coco.loadAnns(coco.getAnnIds(imgIds=number))):
            png = out / "masks" / f"{stem}-{index}.png"
            with Image.open(png) as image:
                assert image.mode == "L"
                assert np.array_equal(np.asarray(image), coco.annToMask(annotation) * 255)
            pngs.add(png)
    assert pngs == set((out / "masks").iterdir())


async def test_pictures_carry_their_provenance(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    images = orjson.loads((out / "annotations/instances.json").read_bytes())["images"]
    wall = next(image for image in images if image["file_name"] == "wall.jpg")["watson"]
    assert wall["uri"] == "file:///photographs/wall.jpg"
    assert wall["sha256"] == hashlib.sha256(wall["uri"].encode()).hexdigest()
    assert wall["model"] == "ellipses@0123456789ab"
    assert wall["weights_sha256"] == "c" * 64
    assert wall["preprocessing"] == "1-1024"
    assert wall["code_version"] == "0.1.0"


async def test_the_same_catalogue_gives_the_same_bytes(small_job: Job, tmp_path: Path) -> None:
    await _export(small_job, tmp_path / "one")
    await _export(small_job, tmp_path / "two")
    assert _bytes_of(tmp_path / "one") == _bytes_of(tmp_path / "two")


async def test_quarantined_pictures_are_listed_with_their_reason(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = await export_dataset(small_job.catalogue, small_job.objects, JOB, out)
    (entry,) = orjson.loads((out / "quarantine.json").read_bytes())
    assert entry["file"] == "broken.jpg"
    assert entry["reason"] == "truncated"
    assert entry["message"] == "image file is truncated (3 bytes)"
    assert summary.quarantined_files == {"truncated": ["broken.jpg"]}


async def test_a_letter_of_a_picture_that_was_catalogued_after_all_is_not_listed(
    small_job: Job, tmp_path: Path
) -> None:
    page = await small_job.catalogue.dead_letters(JOB)
    await small_job.catalogue.put_dead_letter(page.items[0].event, resolved=True)
    summary = await export_dataset(small_job.catalogue, small_job.objects, JOB, tmp_path / "out")
    assert summary.quarantined == 0
    assert orjson.loads((tmp_path / "out/quarantine.json").read_bytes()) == []


def _check_sums(out: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    return subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)


async def test_the_sums_hold_for_every_file(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    checked = await asyncio.to_thread(_check_sums, out)
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == len(_bytes_of(out)) - 2  # not of itself, nor of the marker


async def test_an_export_over_an_older_one_leaves_nothing_of_it(small_job: Job, fresh_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    await fresh_job.add("s3://b/rocket.jpg", plain(), [])
    await _export(fresh_job, out)
    await _export(fresh_job, tmp_path / "fresh")
    assert _bytes_of(out) == _bytes_of(tmp_path / "fresh")


async def test_an_unknown_job_is_refused_and_the_older_dataset_stays(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    await small_job.catalogue.wipe()
    with pytest.raises(UserError, match="no job street-1"):
        await _export(small_job, out)
    assert (out / "images/wall.jpg").exists()


async def test_files_of_the_user_stay_where_they_are(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    (out / "notes.txt").write_text("mine")
    (out / "images/annotator").mkdir()
    (out / "images/annotator/mine.txt").write_text("mine too")
    await _export(small_job, out)
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "images/annotator/mine.txt").read_text() == "mine too"
    assert (out / "images/wall.jpg").exists()


async def test_a_file_of_the_user_that_a_new_picture_wants_the_name_of_is_kept_beside_it(
    small_job: Job, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    (out / "images/rocket.jpg").write_text("mine")
    await small_job.add("s3://b/rocket.jpg", plain(), [])
    await _export(small_job, out)
    assert (out / "images/rocket.kept-1.jpg").read_text() == "mine"
    with Image.open(out / "images/rocket.jpg") as picture:
        assert picture.size == (160, 120)


async def test_a_directory_that_holds_something_else_is_refused(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"not empty .* thesis\.tex"):
        await _export(small_job, out)
    assert _bytes_of(out) == {"thesis.tex": b"years of work"}


async def test_a_file_in_place_of_the_directory_is_refused(small_job: Job, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        await _export(small_job, tmp_path / "out")


async def test_all_missing_and_altered_objects_are_named_and_nothing_is_written(small_job: Job, tmp_path: Path) -> None:
    altered = await small_job.catalogue.image(JOB, image_key("file:///photographs/a/cat.jpg"))
    missing = await small_job.catalogue.image(JOB, image_key("file:///photographs/wall.jpg"))
    assert altered
    assert missing
    await small_job.objects.put(altered.masks_object, b"something else")
    await small_job.objects.delete(missing.normalised.object)
    with pytest.raises(DatasetDamaged) as raised:
        await _export(small_job, tmp_path / "out")
    assert {damage.key for damage in raised.value.damage} == {altered.masks_object, missing.normalised.object}
    assert "missing" in str(raised.value)
    assert "altered" in str(raised.value)
    assert _bytes_of(tmp_path / "out") == {}


async def test_a_failed_export_leaves_the_older_dataset_whole(small_job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    before = _bytes_of(out)
    event = await small_job.catalogue.image(JOB, image_key("file:///photographs/wall.jpg"))
    assert event
    await small_job.objects.delete(event.masks_object)
    with pytest.raises(DatasetDamaged):
        await _export(small_job, out)
    assert _bytes_of(out) == before


@pytest.mark.parametrize("renames", range(19))
async def test_an_export_killed_between_any_two_renames_is_finished_by_the_next(
    small_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    out = tmp_path / "out"
    await _export(small_job, out)
    (out / "masks/mine.txt").write_text("mine")
    await small_job.add("s3://b/rocket.jpg", plain(), [ellipse(plain(), (0.5, 0.5), (0.2, 0.2), 3, 0.8)])
    left = renames

    def count(move):
        def counted(self: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return move(self, target)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", count(Path.rename))
        patch.setattr(Path, "replace", count(Path.replace))
        # in this thread: a KeyboardInterrupt in another one would end the test run
        patch.setattr("asyncio.to_thread", _here)
        with pytest.raises(KeyboardInterrupt):
            await _export(small_job, out)
    # A dataset that is not whole says so: only before the first and after the last of its renames it has the marker.
    assert (out / staging.MARKER).exists() == (renames in (0, 18))
    await _export(small_job, out)
    await _export(small_job, tmp_path / "fresh")
    found = _bytes_of(out)
    assert found.pop("masks/mine.txt") == b"mine"
    assert found == _bytes_of(tmp_path / "fresh")


async def _here(function, *args, **kwargs):
    return function(*args, **kwargs)


async def test_two_exports_to_one_directory_do_not_mix(small_job: Job, tmp_path: Path) -> None:
    with staging.Staging.begin(tmp_path / "out"), pytest.raises(UserError, match="Another export"):
        await _export(small_job, tmp_path / "out")


async def test_an_empty_job_gives_a_valid_empty_dataset(job: Job, tmp_path: Path) -> None:
    await _export(job, tmp_path / "out")
    coco = COCO(tmp_path / "out/annotations/instances.json")
    assert coco.imgs == {}
    assert (tmp_path / "out/index.html").exists()


async def test_several_letters_of_one_picture_count_once(job: Job, tmp_path: Path) -> None:
    await job.quarantine("s3://b/x.jpg", ReasonCode.TRUNCATED, "first")
    page = await job.catalogue.dead_letters(JOB)
    letter = page.items[0].event
    await job.catalogue.put_dead_letter(letter.model_copy(update={"stage": "segment"}), resolved=False)
    summary = await export_dataset(job.catalogue, job.objects, JOB, tmp_path / "out")
    assert summary.quarantined == 1
    assert len(orjson.loads((tmp_path / "out/quarantine.json").read_bytes())) == 2


async def test_progress_is_told_up_to_the_last_picture(small_job: Job, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    await export_dataset(
        small_job.catalogue,
        small_job.objects,
        JOB,
        tmp_path / "out",
        on_progress=lambda done, all_: told.append((done, all_)),
    )
    assert told[-1] == (3, 3)
