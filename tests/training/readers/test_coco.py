from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training.scene import CATEGORIES, HEIGHT, WIDTH, coco_document, picture, squares, write_coco
from watson.errors import UserError
from watson.training.labelled import IGNORED
from watson.training.readers.coco import read


@pytest.mark.parametrize("shape", ["rle", "polygon", "uncompressed"])
def test_masks_are_read_from_each_of_cocos_encodings(tmp_path, shape):
    dataset = read(write_coco(tmp_path, **coco_document(6, shape)))
    assert dataset.categories == CATEGORIES
    for number, sample in enumerate(dataset.samples):
        square = squares(number)
        labels, (thing,) = sample.truth()
        assert np.array_equal(sample.picture(), picture(number))
        assert np.array_equal(labels, np.where(square.mask, 1 + square.category, 0))
        assert thing.category_id == square.category
        assert np.array_equal(thing.mask, square.mask)


def test_a_picture_without_annotations_is_all_background(tmp_path):
    dataset = read(write_coco(tmp_path, annotations=[]))
    labels, things = dataset.samples[0].truth()
    assert not labels.any()
    assert things == ()


def test_category_ids_may_have_gaps(tmp_path):
    document = coco_document(2)
    for category in document["categories"]:
        category["id"] *= 40
    for annotation in document["annotations"]:
        annotation["category_id"] *= 40
    _, (thing,) = read(write_coco(tmp_path, **document)).samples[1].truth()
    assert thing.category_id == squares(1).category == 1


def test_pixels_of_a_crowd_are_ignored(tmp_path):
    document = coco_document(1)
    document["annotations"][0]["iscrowd"] = 1
    labels, (thing,) = read(write_coco(tmp_path, **document)).samples[0].truth()
    assert thing.crowd
    assert set(labels[squares(0).mask]) == {IGNORED}


@pytest.mark.parametrize("shape", ["rle", "polygon", "uncompressed"])
def test_the_content_of_each_encoding_is_read_without_a_warning(tmp_path, shape, recwarn):
    dataset = read(write_coco(tmp_path, **coco_document(2, shape)))
    assert dataset.samples[0].content() != dataset.samples[1].content()
    assert [str(warning.message) for warning in recwarn] == []


def test_other_labels_of_a_picture_are_other_content(tmp_path):
    path = write_coco(tmp_path)
    before = read(path).digest()
    assert read(path).digest() == before
    document = coco_document(6)
    document["annotations"][3]["category_id"] = 1 + (1 - squares(3).category)
    path.write_text(json.dumps(document))
    assert read(path).digest() != before


def test_another_picture_is_other_content(tmp_path):
    path = write_coco(tmp_path)
    before = read(path).digest()
    (tmp_path / "images" / "1.png").write_bytes((tmp_path / "images" / "2.png").read_bytes())
    assert read(path).digest() != before


def annotation(**changes: object) -> dict:
    return coco_document(1)["annotations"][0] | changes


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"images": 7}, "is not COCO's instances.json: images: "),
        ({"annotations": [annotation(image_id=99)]}, "annotations.0: there is no image of id 99"),
        ({"annotations": [annotation(category_id=99)]}, "annotations.0: there is no category of id 99"),
        ({"annotations": [annotation(segmentation=[[1, 2]])]}, "annotations.0.segmentation.polygons.0: "),
        ({"annotations": [annotation(segmentation=[[0, 0, 1e12, 0, 1e12, 1e12]])]}, "less than or equal to 131072"),
        ({"annotations": [annotation(segmentation=[[0, 0, -1e9, 0, 5, 5]])]}, "greater than or equal to -65536"),
        ({"annotations": [annotation(segmentation=[])]}, "annotations.0.segmentation.polygons: "),
        ({"annotations": [annotation(segmentation={"size": [4, 4], "counts": [16]})]}, "not of the picture's 64 × 48"),
        ({"annotations": [annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": [5]})]}, "not of the picture's"),
        (
            {"annotations": [annotation(segmentation={"size": [4, 4], "counts": "@0"})]},
            "annotations.0.segmentation.rle: Value error, a run length is negative",
        ),
        ({"annotations": [annotation(segmentation="red")]}, "annotations.0.segmentation.rle: "),
        ({"images": []}, "there is no image of id 1"),
        ({"images": [], "annotations": []}, "has no labelled picture"),
        ({"categories": [], "annotations": []}, "has no category"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "several categories called 'a' and 'a'"),
        ({"categories": [{"id": 1, "name": "Cat"}, {"id": 2, "name": "cat"}]}, "called 'Cat' and 'cat' (capitals"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "stands there twice"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_says_where(tmp_path, changes, why):
    with pytest.raises(UserError) as refused:
        read(write_coco(tmp_path, **changes))
    assert why in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_file_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text("no")
    with pytest.raises(UserError, match=r"is not COCO's instances.json: document: Invalid JSON"):
        read(path)


def test_pictures_that_are_not_found_are_asked_for(tmp_path):
    path = write_coco(tmp_path)
    (tmp_path / "images").rename(tmp_path / "photographs")
    with pytest.raises(UserError, match=r"the picture 0.png is not in .*--images"):
        read(path)
    assert np.array_equal(read(path, tmp_path / "photographs").samples[0].picture(), picture(0))


def test_a_picture_of_another_size_than_its_labels_is_refused(tmp_path):
    document = coco_document(1)
    document["images"][0] |= {"width": 10, "height": 10}
    dataset = read(write_coco(tmp_path, images=document["images"], annotations=[]))
    with pytest.raises(UserError, match=r"0.png is 64 × 48 pixels, but its labels are for 10 × 10"):
        dataset.samples[0].picture()
