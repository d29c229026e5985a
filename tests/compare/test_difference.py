from __future__ import annotations

import pytest

from tests.compare.scene import Scene, box
from watson.compare.difference import Difference, difference
from watson.compare.document import to_json
from watson.compare.matching import Kind
from watson.errors import ReasonCode, Refused
from watson.events import now
from watson.storage.directory import DirectoryObjectStore

CAT = box("cat", 10, 10, 60, 60)
DOG = box("dog", 100, 20, 150, 100, score=0.6)


async def compare(scene: Scene, **options) -> Difference:
    return await difference(await scene.side("one"), await scene.side("two"), **options)


async def test_masks_are_told_apart_by_what_became_of_them(scene: Scene) -> None:
    await scene.job("one", {"a": [CAT, DOG, box("bird", 70, 70, 90, 90), box("cow", 0, 100, 160, 120)]})
    await scene.job(
        "two",
        {"a": [CAT, box("wolf", 100, 20, 150, 100), box("bird", 70, 70, 90, 83), box("sun", 150, 0, 160, 10)]},
    )
    found = await compare(scene)
    assert dict(found.masks) == dict.fromkeys(Kind, 1)
    assert found.renamed == {("dog", "wolf"): 1}
    assert (found.categories["dog"].became, found.categories["wolf"].was) == (1, 1)
    assert (found.categories["cow"].lost, found.categories["sun"].gained) == (1, 1)
    assert found.categories["bird"].quality == pytest.approx(13 / 20)
    assert found.disagreement == pytest.approx(1 - 2 * (1 + 13 / 20) / 8)


async def test_pictures_of_one_job_alone_or_replaced_meanwhile_are_counted_apart(scene: Scene) -> None:
    await scene.job("one", {"a": [CAT], "b": [CAT]})
    await scene.add("one", "c", [CAT], original="first")
    await scene.job("two", {"b": [CAT], "d": [DOG]})
    await scene.add("two", "c", [DOG], original="second")
    found = await compare(scene)
    assert dict(found.images) == {"only_before": 1, "only_after": 1, "both": 1, "same": 1, "replaced": 1}
    assert found.masks.total() == 1
    assert found.disagreement == 0
    assert found.largest == []


async def test_two_sets_of_rules_over_one_model_are_compared_without_reading_a_mask(scene: Scene) -> None:
    await scene.job("one", model="m@1")
    await scene.add("one", "a", [CAT, DOG], model="m@1")
    await scene.job("two", model="m@1")
    await scene.add("two", "a", [CAT, DOG], model="m@1", keep=[0])
    for file in (scene.root / "objects").rglob("*.gz"):
        file.unlink()
    found = await compare(scene)
    assert dict(found.masks) == {Kind.UNCHANGED: 1, Kind.LOST: 1}


async def test_masks_of_one_model_that_rules_let_through_in_turn_are_compared_by_overlap(scene: Scene) -> None:
    twice = [CAT, box("dog", 10, 10, 60, 58)]
    await scene.job("one", model="m@1")
    await scene.add("one", "a", twice, model="m@1", keep=[0])
    await scene.job("two", model="m@1")
    await scene.add("two", "a", twice, model="m@1", keep=[1])
    assert dict((await compare(scene)).masks) == {Kind.CATEGORY: 1}


async def test_pictures_of_two_sizes_are_compared_at_the_smaller_one(scene: Scene) -> None:
    await scene.job("one", {"a": [CAT]})
    await scene.job("two")
    await scene.add(
        "two", "a", [box("cat", 10, 10, 60, 60, scale=0.5), box("dog", 100, 20, 150, 100, scale=0.5)], scale=0.5
    )
    found = await compare(scene)
    assert dict(found.masks) == {Kind.UNCHANGED: 1, Kind.GAINED: 1}


async def test_the_largest_disagreements_come_first_and_are_bounded(scene: Scene) -> None:
    shifted = {
        name: box("cat", 10 + shift, 10, 60 + shift, 60) for name, shift in (("a", 5), ("b", 12), ("c", 0), ("d", 40))
    }
    await scene.job("one", {name: [CAT] for name in shifted})
    await scene.job("two", {name: [mask] for name, mask in shifted.items()})
    names = [one.after.original.uri[-1] for one in (await compare(scene)).largest]
    assert names == ["d", "b", "a"]
    assert [one.after.original.uri[-1] for one in (await compare(scene, most=2)).largest] == ["d", "b"]


async def test_turned_round_gained_is_lost(scene: Scene) -> None:
    await scene.job("one", {"a": [CAT], "b": []})
    await scene.job("two", {"a": [CAT, DOG], "c": [DOG]})
    there = to_json(await compare(scene))
    back = to_json(await difference(await scene.side("two"), await scene.side("one")))
    assert (there["masks"]["gained"], there["masks"]["lost"]) == (1, 0)
    assert (back["masks"]["gained"], back["masks"]["lost"]) == (0, 1)
    assert there["images"]["only_after"] == back["images"]["only_before"] == 1
    assert there["disagreement"] == back["disagreement"] == pytest.approx(1 / 3, abs=1e-4)


async def test_categories_are_the_same_whatever_their_capitals(scene: Scene) -> None:
    await scene.job("one", {"a": [CAT]})
    await scene.job("two", {"a": [box("Cat", 10, 10, 60, 60)]})
    found = await compare(scene)
    assert list(found.categories) == ["cat"]
    assert (found.categories["cat"].before, found.categories["cat"].after, found.categories["cat"].quality) == (1, 1, 1)


async def test_more_pictures_than_are_fetched_at_once_are_all_compared(scene: Scene) -> None:
    names = [f"{number:02}" for number in range(37)]
    await scene.job("one", {name: [CAT] for name in names})
    await scene.job("two", {name: [CAT] for name in names})
    told: list[int] = []
    found = await compare(scene, on_progress=told.append)
    assert (found.images["both"], found.masks[Kind.UNCHANGED], told[-1]) == (37, 37, 37)


async def test_jobs_without_pictures_do_not_disagree(scene: Scene) -> None:
    await scene.job("one")
    await scene.job("two")
    found = await compare(scene)
    assert (found.disagreement, found.images.total()) == (0, 0)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda file: file.unlink(), ReasonCode.OBJECT_MISSING),
        (lambda file: file.write_bytes(b"altered"), ReasonCode.OBJECT_ALTERED),
    ],
)
async def test_masks_that_are_gone_or_altered_are_named_with_the_remedy(scene: Scene, damage, code) -> None:
    await scene.job("one")
    event = await scene.add("one", "a", [CAT])
    await scene.job("two", {"a": [DOG]})
    damage(scene.root / "objects" / event.masks_object)
    with pytest.raises(Refused, match="watson audit one --repair") as caught:
        await compare(scene)
    assert caught.value.code is code
    assert event.masks_object in str(caught.value)


async def test_an_object_that_watson_did_not_write_is_not_read(scene: Scene) -> None:
    await scene.job("one")
    event = await scene.add("one", "a", [CAT])
    await scene.catalogue.put_image(event.model_copy(update={"masks_object": "../catalogue.db", "time": now()}))
    await scene.job("two", {"a": [DOG]})

    class Watched(DirectoryObjectStore):
        async def get(self, key: str, limit: int | None = None) -> bytes:
            assert ".." not in key
            return await super().get(key, limit)

    scene.objects = Watched(scene.root / "objects")
    with pytest.raises(Refused, match="is not an object that Watson wrote"):
        await compare(scene)
