from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.events import catalogued
from watson.events import ImageCatalogued
from watson.storage.uncertainty import box_iou, doubt

HERE, BESIDE = (10.0, 10.0, 50.0, 50.0), (100.0, 10.0, 50.0, 50.0)


def image(*masks: tuple[str, float, tuple[float, float, float, float]], rejected: int = 0) -> ImageCatalogued:
    """A picture with masks of a category, a score and a box."""
    event = catalogued("job", "a", tuple(category for category, _, _ in masks))
    changed = tuple(
        mask.model_copy(update={"score": score, "box": box})
        for mask, (_, score, box) in zip(event.masks, masks, strict=True)
    )
    return event.model_copy(update={"masks": changed, "rejected": rejected})


def test_low_scores_are_unsure_and_said_in_words():
    found = doubt(image(("cat", 0.2, HERE), ("dog", 0.4, BESIDE)))
    assert found.parts == {"unsure": pytest.approx(0.7), "contested": 0}
    assert found.reasons == ("its 2 masks score 30% on average",)
    assert found.value == pytest.approx(0.35)


def test_two_categories_in_one_place_are_contested_by_how_close_their_scores_are():
    found = doubt(image(("cat", 0.9, HERE), ("dog", 0.8, HERE), ("sun", 0.89, BESIDE)))
    assert found.parts["contested"] == pytest.approx(0.9)
    assert found.reasons[0] == "cat 90% or dog 80%"


@pytest.mark.parametrize("second", [("cat", 0.9, HERE), ("dog", 0.9, BESIDE)])
def test_one_category_or_two_places_are_not_contested(second):
    assert doubt(image(("cat", 0.9, HERE), second)).parts["contested"] == 0


def test_a_picture_of_which_the_rules_let_nothing_through_is_in_more_doubt_than_an_empty_one():
    kept_out, empty = doubt(image(rejected=3)), doubt(image(rejected=0))
    assert (kept_out.parts["unsure"], empty.parts["unsure"]) == (1, 0.5)
    assert kept_out.reasons == ("none of 3 masks was let through by the rules",)
    assert empty.reasons == ("nothing was found",)


def test_another_jobs_disagreement_is_a_part_where_there_is_one():
    certain = image(("cat", 1.0, HERE))
    assert doubt(certain).value == 0
    assert doubt(certain).reasons == ()
    found = doubt(certain, 0.6)
    assert found.value == pytest.approx(0.2)
    assert found.reasons == ("the jobs disagree by 60%",)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.sampled_from([HERE, BESIDE])), max_size=5))
def test_every_part_is_a_fraction(masks):
    found = doubt(image(*masks), 0.5)
    assert all(0 <= part <= 1 for part in found.parts.values())
    assert 0 <= found.value <= 1


BOXES = st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(0.1, 100)] * 2)


@given(BOXES, BOXES)
def test_overlap_of_boxes_is_symmetric_and_whole_only_with_itself(one, other):
    assert box_iou(one, other) == pytest.approx(box_iou(other, one))
    assert box_iou(one, one) == pytest.approx(1)
    assert 0 <= box_iou(one, other) <= 1 + 1e-9


def test_half_of_a_box_overlaps_by_half():
    assert box_iou((0, 0, 10, 10), (0, 0, 10, 5)) == 0.5
    assert box_iou((0, 0, 10, 10), (10, 0, 10, 10)) == 0
