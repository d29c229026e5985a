from __future__ import annotations

import numpy as np
import pytest

from tests.training.scene import CATEGORIES, HEIGHT, WIDTH, coco_document, squares, write_coco
from watson.errors import UserError
from watson.model.segmenter import Instance, ModelInfo, Segmentation
from watson.training.evaluation import evaluate
from watson.training.readers import read_dataset


class Recited:
    """A model that knows its pictures: gives the masks it was told, in turn."""

    def __init__(self, *answers: list[tuple[str, np.ndarray, float]], categories=CATEGORIES) -> None:
        self.info = ModelInfo("recited", "1", "recited", "a" * 64, tuple(categories))
        self._answers = iter(answers)

    def segment(self, pictures):
        categories = self.info.categories
        return [
            Segmentation(
                tuple(Instance(categories.index(name), name, score, mask) for name, mask, score in next(self._answers))
            )
            for _ in pictures
        ]


def right(number: int) -> list[tuple[str, np.ndarray, float]]:
    square = squares(number)
    return [(CATEGORIES[square.category], square.mask, 0.9)]


@pytest.fixture
def dataset(tmp_path):
    return read_dataset(write_coco(tmp_path, 4))


def test_a_model_that_is_always_right_has_one_everywhere(dataset):
    done = []
    found = evaluate(Recited(*map(right, range(4))), dataset, lambda *at: done.append(at))
    assert set(found.metrics().values()) == {1.0}
    assert found.metrics().keys() >= {"mean_iou", "foreground_iou", "ap", "ap50", "ap75", "iou/red", "iou/green"}
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.to_json()["pictures"] == 4


def test_a_model_that_finds_nothing_has_background_alone(dataset):
    found = evaluate(Recited([], [], [], []), dataset)
    assert found.category_iou == {"red": 0, "green": 0}
    assert found.foreground_iou == found.ap == 0
    assert found.mean_iou == pytest.approx(found.background_iou / 3)


def test_a_model_that_only_confuses_names_has_all_of_the_foreground(dataset):
    swapped = [[(CATEGORIES[1 - squares(n).category], squares(n).mask, 0.9)] for n in range(4)]
    found = evaluate(Recited(*swapped), dataset)
    assert found.foreground_iou == 1
    assert found.mean_iou_without_background == 0
    assert found.ap == 0


def test_a_mask_that_is_half_right_counts_at_its_threshold(tmp_path):
    dataset = read_dataset(write_coco(tmp_path, 1))
    square = squares(0)
    mask = square.mask.copy()
    mask[square.top : square.top + square.side // 3] = False  # about two thirds are left
    found = evaluate(Recited([("red", mask, 0.9)]), dataset)
    assert found.ap50 == pytest.approx(1)
    assert found.ap75 == 0
    assert 0 < found.ap < 1
    assert found.category_iou["red"] == pytest.approx(mask.sum() / square.mask.sum())
    assert found.category_iou["green"] is None
    assert "iou/green" not in found.metrics()


def test_of_masks_that_overlap_the_surer_one_counts_for_the_pixels(tmp_path):
    dataset = read_dataset(write_coco(tmp_path, 1))
    whole = np.ones((HEIGHT, WIDTH), np.bool_)
    found = evaluate(Recited([("red", squares(0).mask, 0.9), ("green", whole, 0.3)]), dataset)
    assert found.category_iou["red"] == 1


def test_categories_that_the_dataset_does_not_have_are_left_out(tmp_path):
    dataset = read_dataset(write_coco(tmp_path, 1))
    whole = np.ones((HEIGHT, WIDTH), np.bool_)
    model = Recited([*right(0), ("blue", whole, 0.95)], categories=(*CATEGORIES, "blue"))
    assert evaluate(model, dataset).mean_iou == 1


def test_a_model_with_no_category_in_common_is_refused(dataset):
    with pytest.raises(UserError, match=r"recited@1 and .* have no category in common. The model's: cat. .*red, green"):
        evaluate(Recited(categories=("cat",)), dataset)


def test_finding_in_a_crowd_is_neither_right_nor_wrong(tmp_path):
    document = coco_document(2)
    document["annotations"][0]["iscrowd"] = 1
    dataset = read_dataset(write_coco(tmp_path, 2, **document))
    found = evaluate(Recited(right(0), right(1)), dataset)
    assert found.ap == pytest.approx(1)
    assert found.mean_iou == 1
    assert found.category_iou["red"] is None


def test_capitals_do_not_tell_categories_apart(dataset):
    said = [[(name.upper(), mask, score) for name, mask, score in right(number)] for number in range(4)]
    found = evaluate(Recited(*said, categories=[name.upper() for name in CATEGORIES]), dataset)
    assert set(found.metrics().values()) == {1.0}
