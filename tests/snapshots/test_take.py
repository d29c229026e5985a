from __future__ import annotations

import hashlib
import json

import pytest

from tests.agents.fakes import MemoryMarks, record_of
from tests.snapshots.conftest import Place, images
from tests.storage.events import at, catalogued
from watson.errors import ServiceUnavailable, UserError
from watson.events import JobOptions, ManifestSubmitted, Rules, Source
from watson.snapshots import Snapshot, parts, take
from watson.stages.project import Projector
from watson.storage.catalogue import StageCount
from watson.storage.directory import DirectoryObjectStore

NAMES = tuple(f"{number}.jpg" for number in range(7))


async def test_the_same_content_in_another_place_job_and_time_has_the_same_id_byte_for_byte(
    place: Place, other_place: Place
) -> None:
    await place.job("first", images("first", *NAMES))
    later = images("second", *reversed(NAMES), time=at(5_000_000))
    await other_place.job("second", [image.model_copy(update={"code_version": "9.9"}) for image in later])
    one, two = await place.take(part_images=3), await other_place.take(part_images=3)
    assert one.id == two.id
    packed = [
        {key: data for key, data in where.objects_there().items() if key.startswith("snapshot-parts/")}
        for where in (place, other_place)
    ]
    assert packed[0] == packed[1]
    assert len(packed[0]) == 3


async def test_the_id_is_the_sha256_of_the_lines_however_they_are_cut_up(place: Place, other_place: Place) -> None:
    for where in (place, other_place):
        await where.job("job", images("job", *NAMES))
    one, many = await place.take(), await other_place.take(part_images=1)
    assert one.id == many.id
    assert (len(one.parts), len(many.parts)) == (1, 7)
    lines = [json.dumps({"dataset": "animals", "format": "watson-snapshot/1"}, separators=(",", ":")).encode() + b"\n"]
    lines += [image.line() for image in await place.read(one)]
    assert hashlib.sha256(b"".join(lines)).hexdigest() == one.id
    assert one.size == sum(map(len, lines))


async def test_a_part_is_bounded_in_bytes_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.job("job", images("job", *NAMES))
    monkeypatch.setattr(parts, "PART_BYTES", 2000)
    taken = await place.take()
    assert len(taken.parts) > 2
    assert all(part.size < 2000 + 1000 for part in taken.parts)
    assert len(await place.read(taken)) == len(NAMES)


@pytest.mark.parametrize(
    "change",
    [
        {"masks_sha256": "f" * 64},
        {"masks": ()},
        {"weights_sha256": "e" * 64},
        {"model": "m@2"},
        {"masks_object": "masks/other.json.gz"},
    ],
)
async def test_another_content_has_another_id(place: Place, other_place: Place, change: dict) -> None:
    await place.job("job", images("job", *NAMES))
    await other_place.job("job", [*images("job", *NAMES[:-1]), catalogued("job", NAMES[-1]).model_copy(update=change)])
    assert (await place.take()).id != (await other_place.take()).id


async def test_the_record_tells_jobs_models_rules_and_counts(place: Place) -> None:
    rules = Rules(least_score=0.4, categories=("cat", "dog"))
    await place.job("old", images("old", "a", "b", categories=("cat", "dog")), options=JobOptions(rules=rules))
    await place.job("new", images("new", "b", "c", model="m@2"), model="m")
    taken = await place.take()
    assert [(job.job, job.model, job.images, job.superseded) for job in taken.jobs] == [
        ("new", "m", 2, 0), ("old", "m@1", 1, 1),
    ]  # fmt: skip
    assert taken.jobs[1].options.rules == rules
    assert [(model.model, model.images) for model in taken.models] == [("m@1", 1), ("m@2", 2)]
    assert (taken.images, taken.masks, taken.categories) == (3, 4, {"cat": 3, "dog": 1})
    assert not taken.partial


async def test_of_a_picture_that_several_jobs_have_the_newest_jobs_masks_are_taken(place: Place) -> None:
    await place.job("old", images("old", "a", "b", "c"))
    await place.job("new", images("new", "b", model="m@2"))
    found = {image.uri: image.model for image in await place.read(await place.take())}
    assert found == {"file:///a": "m@1", "file:///b": "m@2", "file:///c": "m@1"}


async def test_only_the_jobs_that_are_named_are_taken(place: Place) -> None:
    await place.job("old", images("old", "a", "b"))
    await place.job("new", images("new", "b", "c", model="m@2"))
    taken = await place.take(jobs=["old"])
    assert {image.model for image in await place.read(taken)} == {"m@1"}
    assert [job.job for job in taken.jobs] == ["old"]


async def test_taking_it_again_is_the_same_snapshot_and_leaves_its_record_alone(place: Place) -> None:
    await place.job("job", images("job", *NAMES))
    first = await take(place.catalogue, place.objects, "animals")
    before = place.objects_there()
    second = await take(place.catalogue, place.objects, "animals")
    assert (first.new, second.new) == (True, False)
    assert second.snapshot == first.snapshot
    assert place.objects_there() == before


async def test_a_later_job_leaves_a_snapshot_as_it_was(place: Place) -> None:
    await place.job("job", images("job", "a"))
    first = await place.take()
    await place.job("later", images("later", "a", "b", model="m@2"))
    second = await place.take()
    assert second.id != first.id
    assert [image.model for image in await place.read(first.short)] == ["m@1"]


@pytest.mark.parametrize("state", ["listing", "draining", "paused", "cancelled", "failed"])
async def test_a_job_that_is_not_done_is_refused_by_name_unless_asked_for(place: Place, state: str) -> None:
    await place.job("done", images("done", "a"))
    await place.job("going", images("going", "b"), state=state)
    with pytest.raises(UserError, match=f"job going of dataset animals is {state}"):
        await place.take()
    assert place.objects_there() == {}
    taken = await place.take(partial=True)
    assert (taken.images, taken.partial) == (2, True)


async def test_a_complete_job_with_images_in_flight_is_not_done(place: Place) -> None:
    await place.job("job", images("job", "a", "b"))
    await place.job("other", images("other", "c"), count=1)
    going = images("going", "d")
    await place.job("going", going)
    count = StageCount(job="going", stage="discovered", partition=0, count=3, time=at(1_000_000))
    await place.catalogue.put_count(count)
    with pytest.raises(UserError, match="job going of dataset animals is complete with 2 images in flight"):
        await place.take()


async def test_a_job_that_failed_without_an_image_is_no_part_of_its_dataset(place: Place) -> None:
    await place.job("done", images("done", "a"))
    await place.job("typo", [], state="failed")
    assert [job.job for job in (await place.take()).jobs] == ["done"]


async def test_rows_that_the_catalogue_has_not_yet_are_missed(place: Place) -> None:
    await place.job("job", images("job", "a", "b"), count=3)
    with pytest.raises(ServiceUnavailable, match="2 of the 3 images of job job"):
        await place.take()
    assert place.objects_there() == {}


async def test_a_dataset_without_images_has_nothing_to_take(place: Place) -> None:
    await place.job("job", [])
    with pytest.raises(UserError, match="has no image yet"):
        await place.take()


async def test_a_dataset_or_job_that_there_is_not_is_refused_with_those_there_are(place: Place) -> None:
    await place.job("job", images("job", "a"))
    with pytest.raises(UserError, match=r"no dataset 'birds'.*known: animals"):
        await place.take("birds")
    with pytest.raises(UserError, match="no job 'jab'; its jobs: job"):
        await place.take(jobs=["job", "jab"])


async def test_the_record_is_written_last_so_that_a_snapshot_with_one_is_whole(place: Place) -> None:
    await place.job("job", images("job", *NAMES))

    class Failing(DirectoryObjectStore):
        async def put(self, key: str, data: bytes, content_type: str = "") -> None:
            if key.endswith("000002.jsonl.gz"):
                raise OSError("the disk is full")
            await super().put(key, data, content_type)

    with pytest.raises(OSError, match="full"):
        await take(place.catalogue, Failing(place.root / "objects"), "animals", part_images=2)
    assert {key.partition("/")[0] for key in place.objects_there()} == {"snapshot-parts"}
    taken = await place.take(part_images=2)
    assert len(await place.read(taken)) == len(NAMES)


async def test_progress_ends_with_the_number_of_images(place: Place) -> None:
    await place.job("job", images("job", *NAMES))
    told: list[int] = []
    await place.take(on_progress=told.append)
    assert told[-1] == len(NAMES)


async def test_a_record_is_read_back_as_it_was(place: Place) -> None:
    await place.job("job", images("job", "a"))
    taken = await place.take()
    assert Snapshot.model_validate_json(place.objects_there()[f"snapshots/{taken.id}.json"]) == taken


async def test_a_manifest_that_is_sent_again_and_changes_no_job_changes_no_dataset(place: Place) -> None:
    await place.job("old", images("old", "a.jpg", "b.jpg"))
    newer = [image.model_copy(update={"model": "better@2"}) for image in images("new", "a.jpg", "b.jpg")]
    await place.job("new", newer)
    before = await place.take()
    repeated = ManifestSubmitted(job="old", dataset="animals", source=Source(kind="directory", uri="/p"), time=at(1000))
    await Projector(place.catalogue, MemoryMarks()).apply(record_of(repeated), repeated)
    assert (await place.take()).id == before.id
