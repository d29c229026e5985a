from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.training.scene import squares, write_voc
from watson.errors import UserError
from watson.training.labelled import IGNORED
from watson.training.readers.voc import CATEGORIES, read


def test_palette_indices_are_classes_and_255_is_ignored(tmp_path):
    dataset = read(write_voc(tmp_path))
    assert dataset.categories == ("red", "green")
    for number, sample in enumerate(dataset.samples):
        square = squares(number)
        expected = np.where(square.mask, 1 + square.category, 0)
        expected[0, :3] = IGNORED
        labels, things = sample.truth()
        assert np.array_equal(labels, expected)
        assert sample.picture().shape == (48, 64, 3)
        assert [thing.category_id for thing in things] == [square.category]


def test_without_names_the_classes_are_vocs_own(tmp_path):
    dataset = read(write_voc(tmp_path, names=""))
    assert dataset.categories == CATEGORIES
    assert len(CATEGORIES) == 20


def test_what_does_not_hang_together_is_several_things(tmp_path):
    write_voc(tmp_path, 1)
    indices = np.zeros((48, 64), np.uint8)
    indices[:10, :10] = indices[20:30, 20:30] = 2
    Image.fromarray(indices).save(tmp_path / "SegmentationClass" / "0.png")
    _, things = read(tmp_path).samples[0].truth()
    assert [(thing.category_id, int(thing.mask.sum())) for thing in things] == [(1, 100), (1, 100)]


def test_the_object_picture_tells_things_apart_that_touch(tmp_path):
    write_voc(tmp_path, 1)
    indices = np.zeros((48, 64), np.uint8)
    indices[:10, :20] = 1
    objects = indices.copy()
    objects[:10, 5:20] = 2
    Image.fromarray(indices).save(tmp_path / "SegmentationClass" / "0.png")
    (tmp_path / "SegmentationObject").mkdir()
    Image.fromarray(objects).save(tmp_path / "SegmentationObject" / "0.png")
    _, things = read(tmp_path).samples[0].truth()
    assert [(thing.category_id, int(thing.mask.sum())) for thing in things] == [(0, 50), (0, 150)]


def test_a_class_without_a_name_is_refused(tmp_path):
    dataset = read(write_voc(tmp_path, names="red\n"))
    with pytest.raises(UserError, match=r"1.png has the class 2, but only 1 classes have names: .*class_names.txt"):
        dataset.samples[1].truth()


def test_colours_in_place_of_indices_are_refused(tmp_path):
    write_voc(tmp_path, 1)
    Image.new("RGB", (64, 48)).save(tmp_path / "SegmentationClass" / "0.png")
    with pytest.raises(UserError, match="palette indices or grey values"):
        read(tmp_path).samples[0].truth()


def test_a_picture_that_is_missing_is_named(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "JPEGImages" / "2.jpg").unlink()
    with pytest.raises(UserError, match=r"the picture 2.jpg is not in .*JPEGImages"):
        read(tmp_path)


@pytest.mark.parametrize("names", ["background\n", "\n".join(f"c{n}" for n in range(300))])
def test_a_file_of_no_or_too_many_names_is_refused(tmp_path, names):
    with pytest.raises(UserError, match=r"class_names.txt has \d+ names"):
        read(write_voc(tmp_path, names=names))


def indices(folder, *numbers):
    """The first sample's classes, one a row."""
    path = folder / "SegmentationClass" / "0.png"
    with Image.open(path) as image:
        size = image.size
    pixels = np.resize(np.repeat(np.uint8(numbers), size[0]), (size[1], size[0]))
    Image.fromarray(pixels).save(path)
    return pixels


def test_a_void_class_among_the_names_is_ignored_and_shifts_no_other(tmp_path):
    folder = write_voc(tmp_path, names="background\nroad\nvoid\ncar\nsky\n")
    pixels = indices(folder, 0, 1, 2, 3, 4)
    dataset = read(folder)
    labels, things = dataset.samples[0].truth()
    assert dataset.categories == ("road", "car", "sky")
    assert {int(number): int(labels[pixels == number][0]) for number in range(5)} == {
        0: 0,
        1: 1,
        2: IGNORED,
        3: 2,
        4: 3,
    }
    assert {dataset.categories[thing.category_id] for thing in things} == {"road", "car", "sky"}


def test_labelmes_ignored_first_line_has_no_number(tmp_path):
    folder = write_voc(tmp_path, names="__ignore__\n_background_\nroad\ncar\n\n")
    indices(folder, 2)
    labels, _ = read(folder).samples[0].truth()
    assert read(folder).categories == ("road", "car")
    assert set(np.unique(labels)) == {2}


def test_an_empty_line_among_the_names_is_refused(tmp_path):
    with pytest.raises(UserError, match="an empty line among its names"):
        read(write_voc(tmp_path, names="background\nroad\n\ncar\n"))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_png_of_classes_that_is_none_is_named(tmp_path, content):
    folder = write_voc(tmp_path)
    (folder / "SegmentationClass" / "0.png").write_bytes(content)
    with pytest.raises(UserError, match=r"0.png cannot be read"):
        read(folder).samples[0].truth()
