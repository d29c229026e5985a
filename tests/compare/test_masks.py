from __future__ import annotations

import numpy as np
import pytest

from tests.compare.scene import HEIGHT, WIDTH, Scene, box
from watson.compare.masks import ious_of, load_masks, load_picture
from watson.errors import ReasonCode, Refused
from watson.model.masks import StoredMask
from watson.model.segmenter import Instance


async def masks_of(scene: Scene, name: str, *instances: Instance, scale: float = 1) -> list[StoredMask]:
    return await load_masks(scene.objects, await scene.add("one", name, instances, scale=scale))


async def test_overlap_is_intersection_over_union_of_each_with_each(scene: Scene) -> None:
    before = await masks_of(scene, "a", box("cat", 0, 0, 40, 40), box("dog", 80, 80, 100, 100))
    after = await masks_of(scene, "b", box("cat", 0, 0, 40, 20), box("dog", 20, 0, 60, 40), box("sun", 150, 0, 160, 9))
    assert ious_of(before, after) == pytest.approx(np.array([[0.5, 1 / 3, 0], [0, 0, 0]]))


async def test_no_masks_overlap_with_nothing(scene: Scene) -> None:
    some = await masks_of(scene, "a", box("cat", 0, 0, 40, 40))
    assert ious_of([], some).shape == (0, 1)
    assert ious_of(some, []).shape == (1, 0)


async def test_masks_of_two_sizes_are_compared_at_the_smaller_one(scene: Scene) -> None:
    stripes = np.zeros((HEIGHT, WIDTH), np.bool_)
    stripes[:, ::2] = True  # at half the size, every pixel
    before = await masks_of(scene, "a", Instance(0, "cat", 0.9, stripes))
    after = await masks_of(scene, "b", box("cat", 0, 0, WIDTH, HEIGHT, scale=0.5), scale=0.5)
    assert ious_of(before, after) == pytest.approx(np.array([[1.0]]))
    assert ious_of(after, before) == pytest.approx(np.array([[1.0]]))


async def test_only_the_masks_that_entered_the_dataset_are_loaded(scene: Scene) -> None:
    event = await scene.add("one", "a", [box("cat", 0, 0, 9, 9), box("dog", 9, 9, 20, 20)], keep=[1])
    assert [mask.category for mask in await load_masks(scene.objects, event)] == ["dog"]


@pytest.mark.parametrize(
    "change",
    [
        lambda event: {"masks": (event.masks[0].model_copy(update={"index": 7}),)},
        lambda event: {"normalised": event.normalised.model_copy(update={"width": 7})},
        lambda _: {"masks_sha256": "0" * 64},
        lambda _: {"masks_object": "preprocessed/1-160/" + "0" * 64 + ".jpg"},
    ],
)
async def test_a_row_that_does_not_fit_its_masks_is_refused_with_the_remedy(scene: Scene, change) -> None:
    event = await scene.add("one", "a", [box("cat", 0, 0, 9, 9)])
    with pytest.raises(Refused, match="watson audit one --repair") as caught:
        await load_masks(scene.objects, event.model_copy(update=change(event)))
    assert caught.value.code is ReasonCode.OBJECT_ALTERED


async def test_a_picture_that_was_altered_is_refused(scene: Scene) -> None:
    event = await scene.add("one", "a", [])
    assert (await load_picture(scene.objects, event)).startswith(b"\xff\xd8")
    await scene.objects.put(event.normalised.object, b"altered")
    with pytest.raises(Refused, match="by its sha256"):
        await load_picture(scene.objects, event)
