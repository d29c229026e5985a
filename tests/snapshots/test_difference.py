from __future__ import annotations

import pytest

from tests.snapshots.conftest import Place, images
from tests.storage.events import catalogued
from watson.events import ImageCatalogued
from watson.snapshots import SnapshotDifference, difference


@pytest.fixture
def compare(place: Place, other_place: Place):
    async def compared(before: list[ImageCatalogued], after: list[ImageCatalogued], **options) -> SnapshotDifference:
        await place.job("job", before)
        await other_place.job("job", after)
        one, other = await place.take(), await other_place.take()
        for key, data in other_place.objects_there().items():
            await place.objects.put(key, data)
        return await difference(place.objects, one, other, **options)

    return compared


async def test_a_snapshot_is_the_same_as_itself(compare) -> None:
    found = await compare(images("job", "a", "b"), images("job", "a", "b"))
    assert found.same
    assert (found.images["unchanged"], found.examples, found.gained.total(), found.lost.total()) == (2, [], 0, 0)


async def test_images_come_and_go_with_their_masks(compare) -> None:
    found = await compare(
        images("job", "a", "b", "c", categories=("cat",)),
        [*images("job", "b"), *images("job", "d", "e", categories=("dog", "dog"))],
    )
    assert dict(found.images) == {"lost": 2, "gained": 2, "unchanged": 1}
    assert (dict(found.gained), dict(found.lost)) == ({"dog": 4}, {"cat": 2})
    assert not found.same


def replaced(**changes) -> ImageCatalogued:
    return catalogued("job", "a", ("cat", "dog")).model_copy(update=changes)


@pytest.mark.parametrize(
    ("after", "changes", "gained", "lost"),
    [
        (catalogued("job", "a", ("cat",)), ("masks",), {}, {"dog": 1}),
        (
            catalogued("job", "a", ("cat", "dog"), model="m@2"),
            ("model", "masks"),
            {"cat": 1, "dog": 1},
            {"cat": 1, "dog": 1},
        ),
        (replaced(masks_sha256="f" * 64), ("objects",), {}, {}),
        (
            replaced(original=replaced().original.model_copy(update={"sha256": "f" * 64})),
            ("picture",),
            {},
            {},
        ),
    ],
)
async def test_what_changed_of_an_image_is_said(compare, after, changes, gained, lost) -> None:
    found = await compare([replaced()], [after])
    (example,) = found.examples
    assert (example.uri, example.changes) == ("file:///a", changes)
    assert (dict(found.gained), dict(found.lost)) == (gained, lost)
    assert dict(found.images) == {"changed": 1}
    assert set(found.changes) == set(changes)


async def test_examples_are_bounded(compare) -> None:
    found = await compare(images("job", "z"), images("job", *map(str, range(9)), "z"), examples=3)
    assert len(found.examples) == 3
    assert found.images["gained"] == 9
