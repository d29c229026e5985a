from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.snapshots.conftest import Place, images
from watson.errors import ReasonCode, Refused, UserError
from watson.snapshots import Snapshot, SnapshotImage, find, snapshots
from watson.snapshots.content import parse_image
from watson.snapshots.record import record_key


@pytest.fixture
async def taken(place: Place) -> Snapshot:
    await place.job("job", images("job", "a", "b", "c", categories=("cat", "dog")))
    return await place.take(part_images=2)


async def test_images_come_by_key_as_they_were_catalogued(place: Place, taken: Snapshot) -> None:
    found = await place.read(taken.id)
    events = sorted(images("job", "a", "b", "c", categories=("cat", "dog")), key=lambda event: event.image_key.bytes)
    assert found == [SnapshotImage.of(event) for event in events]
    assert [mask.category for mask in found[0].masks] == ["cat", "dog"]


async def test_a_line_is_read_back_as_it_was() -> None:
    image = SnapshotImage.of(images("job", 'ünder "quotes"\u2028\\.jpg')[0])
    assert parse_image(image.line()) == image
    assert image.line().count(b"\n") == 1


@pytest.mark.parametrize("digits", [4, 12, 64])
async def test_the_first_digits_of_an_id_are_enough(place: Place, taken: Snapshot, digits: int) -> None:
    assert await find(place.objects, taken.id[:digits].upper()) == taken


@pytest.mark.parametrize("text", ["", "abc", "street", "../..", "g" * 12, "a" * 65])
async def test_what_is_no_id_is_refused(place: Place, taken: Snapshot, text: str) -> None:
    with pytest.raises(UserError, match="is no snapshot"):
        await find(place.objects, text)


async def test_an_id_that_there_is_not_is_refused(place: Place, taken: Snapshot) -> None:
    other = "0000" if taken.id[:4] != "0000" else "1111"
    with pytest.raises(UserError, match=f"there is no snapshot {other}"):
        await find(place.objects, other)


async def test_digits_that_several_have_are_refused_with_their_names(place: Place, taken: Snapshot) -> None:
    other = taken.id[:-1] + ("0" if taken.id[-1] != "0" else "1")
    await place.objects.put(
        f"snapshots/{other}.json", taken.model_copy(update={"id": other}).model_dump_json().encode()
    )
    with pytest.raises(UserError, match=f"several snapshots begin with {taken.short}"):
        await find(place.objects, taken.short)
    assert await find(place.objects, taken.id) == taken


async def test_all_are_listed_newest_first(place: Place, taken: Snapshot) -> None:
    await place.job("later", images("later", "d"))
    second = await place.take()
    await place.objects.put("snapshots/notes.txt", b"mine")
    assert [snapshot.id for snapshot in await snapshots(place.objects)] == [second.id, taken.id]


def file_of(place: Place, key: str) -> Path:
    return place.root / "objects" / key


async def refused(place: Place, snapshot: Snapshot | str) -> Refused:
    with pytest.raises(Refused) as caught:
        await place.read(snapshot)
    return caught.value


async def test_a_part_that_is_gone_is_missed_by_name(place: Place, taken: Snapshot) -> None:
    file_of(place, taken.parts[1].object).unlink()
    error = await refused(place, taken.id)
    assert error.code is ReasonCode.OBJECT_MISSING
    assert taken.parts[1].object in str(error)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no gzip" + data, lambda _: gzip.compress(b"{}\n")]
)
async def test_a_part_that_was_altered_is_refused(place: Place, taken: Snapshot, damage) -> None:
    file = file_of(place, taken.parts[0].object)
    file.write_bytes(damage(file.read_bytes()))
    assert (await refused(place, taken.id)).code is ReasonCode.OBJECT_ALTERED


async def test_a_record_that_leaves_out_a_part_is_found_out_by_the_name(place: Place, taken: Snapshot) -> None:
    forged = taken.model_copy(update={"parts": taken.parts[:1]})
    file_of(place, f"snapshots/{taken.id}.json").write_text(forged.model_dump_json())
    error = await refused(place, taken.id)
    assert "the content of snapshot" in str(error)


async def test_a_record_without_parts_or_header_is_refused(place: Place, taken: Snapshot) -> None:
    assert (await refused(place, taken.model_copy(update={"parts": ()}))).code is ReasonCode.OBJECT_ALTERED
    headless = taken.model_copy(update={"parts": taken.parts[1:]})
    assert (await refused(place, headless)).code is ReasonCode.OBJECT_ALTERED


async def test_a_record_of_another_dataset_is_refused(place: Place, taken: Snapshot) -> None:
    assert "is of dataset animals" in str(await refused(place, taken.model_copy(update={"dataset": "birds"})))


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b'{"format":"watson-snapshot/2"}'])
async def test_a_record_that_is_damaged_is_refused_by_name(place: Place, taken: Snapshot, text: bytes) -> None:
    file_of(place, f"snapshots/{taken.id}.json").write_bytes(text)
    with pytest.raises(Refused, match=f"snapshots/{taken.id}.json is not a snapshot's record"):
        await find(place.objects, taken.id)


async def test_a_record_under_another_name_is_refused(place: Place, taken: Snapshot) -> None:
    other = "0" * 64
    await place.objects.put(f"snapshots/{other}.json", taken.model_dump_json().encode())
    with pytest.raises(Refused, match="is the record of another snapshot"):
        await find(place.objects, other)


@pytest.mark.parametrize("change", [{"images": 1}, {"masks": 12345}, {"categories": {"car": 3}}, {"models": []}])
async def test_a_record_that_counts_something_else_than_the_content_has_is_found_out(
    place: Place, taken: Snapshot, change: dict
) -> None:
    key = record_key(taken.id)
    record = json.loads(await place.objects.get(key)) | change
    await place.objects.put(key, json.dumps(record).encode())
    with pytest.raises(Refused, match="counts other images, masks or categories") as refused:
        await place.read(taken.id)
    assert refused.value.code is ReasonCode.OBJECT_ALTERED


async def test_a_damaged_record_hides_no_other_snapshot(place: Place, taken: Snapshot) -> None:
    await place.objects.put(record_key("0" * 64), b"{}")
    assert await snapshots(place.objects) == [taken]
