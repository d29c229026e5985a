from __future__ import annotations

import numpy as np
import pytest

from tests.training.scene import squares, write_open_images
from watson.errors import UserError
from watson.training.readers.open_images import is_table, read

TABLE = "train-annotations-object-segmentation.csv"


def test_masks_are_scaled_to_their_pictures_and_labels_get_their_names(tmp_path):
    write_open_images(tmp_path)
    dataset = read(tmp_path / TABLE)
    assert dataset.categories == ("green", "red")  # of those in the table, by name
    for number, sample in enumerate(dataset.samples):
        square = squares(number)
        labels, (thing,) = sample.truth()
        assert dataset.categories[thing.category_id] == ("red", "green")[square.category]
        assert labels.shape == (48, 64)
        both = (labels > 0) & square.mask
        assert both.sum() / ((labels > 0) | square.mask).sum() > 0.75  # the mask is of half the size


def test_without_class_descriptions_a_label_is_its_own_name(tmp_path):
    write_open_images(tmp_path)
    (tmp_path / "class-descriptions-boxable.csv").unlink()
    assert read(tmp_path / TABLE).categories == ("/m/0", "/m/1")


def test_several_masks_of_a_picture_are_one_sample(tmp_path):
    write_open_images(tmp_path)
    with (tmp_path / TABLE).open("a") as file:
        file.write("1_m.png,0,/m/1,box\n")
    sample = read(tmp_path / TABLE).samples[0]
    _, things = sample.truth()
    assert len(things) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("MaskPath,ImageID\n0_m.png,0\n", "line 1: the column LabelName is missing"),
        ("MaskPath,ImageID,LabelName\n0_m.png,0,\n", "line 2: one of MaskPath, ImageID, LabelName is empty"),
        ("MaskPath,ImageID,LabelName\nx.png,0,/m/0\n", "line 2: the mask x.png is neither beside the table nor in"),
        ("MaskPath,ImageID,LabelName\n0_m.png,77,/m/0\n", "the picture 77.jpg is not in"),
        ("MaskPath,ImageID,LabelName\n", "has no labelled picture"),
    ],
)
def test_a_table_that_is_wrong_is_refused_and_says_where(tmp_path, text, why):
    write_open_images(tmp_path)
    (tmp_path / TABLE).write_text(text)
    with pytest.raises(UserError) as refused:
        read(tmp_path / TABLE)
    assert why in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"no"])
def test_a_mask_that_is_no_picture_is_refused(tmp_path, data):
    write_open_images(tmp_path)
    (tmp_path / "masks" / "0_m.png").write_bytes(data)
    with pytest.raises(UserError, match=r"0_m.png is not a PNG that can be decoded"):
        read(tmp_path / TABLE).samples[0].truth()


def test_a_table_that_is_not_utf_8_is_refused(tmp_path):
    write_open_images(tmp_path)
    (tmp_path / TABLE).write_bytes("MaskPath,ImageID,LabelName\n0_m.png,0,Käse\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"object-segmentation.csv is no CSV in UTF-8"):
        read(tmp_path / TABLE)


def test_a_table_of_masks_is_told_from_other_tables(tmp_path):
    write_open_images(tmp_path)
    assert is_table(tmp_path / TABLE)
    assert not is_table(tmp_path / "class-descriptions-boxable.csv")


def test_other_masks_are_other_content(tmp_path):
    write_open_images(tmp_path)
    before = read(tmp_path / TABLE).digest()
    (tmp_path / "masks" / "0_m.png").write_bytes((tmp_path / "masks" / "1_m.png").read_bytes())
    assert read(tmp_path / TABLE).digest() != before
    assert not np.array_equal(squares(0).mask, squares(1).mask)
