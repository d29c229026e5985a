from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from watson.errors import UserError
from watson.training.labelled import IGNORED, LabelledDataset, Thing, label_map, picture_in, split


class Named:
    """A sample of which only the name matters."""

    def __init__(self, name: str) -> None:
        self.name = name


def dataset(number: int) -> LabelledDataset:
    return LabelledDataset(("cat",), tuple(Named(f"{place}.jpg") for place in range(number)), "here")


@given(number=st.integers(2, 60), held_out=st.floats(0, 1), seed=st.integers(0, 9))
def test_a_split_has_every_picture_in_one_part_and_none_is_empty(number, held_out, seed):
    whole = dataset(number)
    learned, measured = split(whole, held_out, seed)
    assert learned.samples
    assert measured.samples
    assert abs(len(measured.samples) - held_out * number) <= 1
    assert sorted([*learned.samples, *measured.samples], key=id) == sorted(whole.samples, key=id)


def test_a_split_follows_from_the_seed_and_the_names():
    def held_out(seed: int) -> list[str]:
        return [sample.name for sample in split(dataset(50), 0.2, seed)[1].samples]

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)


def test_one_picture_alone_cannot_be_split():
    with pytest.raises(UserError, match="here has one labelled picture"):
        split(dataset(1), 0.2, 0)


def box(*rows: int) -> np.ndarray:
    mask = np.zeros((10, 10), np.bool_)
    mask[slice(*rows)] = True
    return mask


def test_the_smaller_of_two_things_lies_on_top_whatever_their_order():
    things = [Thing(0, box(0, 3)), Thing(1, box(0, 8))]
    for order in (things, things[::-1]):
        labels = label_map(order, (10, 10))
        assert labels[:, 0].tolist() == [1] * 3 + [2] * 5 + [0] * 2


def test_a_thing_lies_on_top_of_a_crowd():
    labels = label_map([Thing(0, box(2, 9)), Thing(0, box(0, 5), crowd=True)], (10, 10))
    assert labels[:, 0].tolist() == [IGNORED] * 2 + [1] * 7 + [0]


def test_a_picture_is_upright_unless_the_labels_are_for_it_as_it_lies(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    assert picture_in(path).shape == (40, 20, 3)
    assert picture_in(path, (40, 20)).shape == (40, 20, 3)
    assert picture_in(path, (20, 40)).shape == (20, 40, 3)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"missing.jpg cannot be read"):
        picture_in(tmp_path / "missing.jpg")
    (tmp_path / "no.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"no.jpg: "):
        picture_in(tmp_path / "no.jpg")
