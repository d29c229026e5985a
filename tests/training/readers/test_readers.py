"""Which reader is taken for what lies there."""

from __future__ import annotations

import shutil

import pytest

from tests.training.scene import write_coco, write_open_images, write_voc
from watson.errors import UserError
from watson.training.readers import read_dataset


def test_a_json_file_is_coco(tmp_path):
    assert len(read_dataset(write_coco(tmp_path)).samples) == 6


def test_a_folder_with_one_json_file_is_coco(tmp_path):
    write_coco(tmp_path)
    assert len(read_dataset(tmp_path).samples) == 6


def test_a_folder_as_watson_exports_it_is_read(tmp_path):
    path = write_coco(tmp_path)
    (tmp_path / "annotations").mkdir()
    path.rename(tmp_path / "annotations" / "instances.json")
    (tmp_path / "quarantine.json").write_text("{}")
    assert len(read_dataset(tmp_path).samples) == 6


def test_a_folder_of_voc_is_read(tmp_path):
    assert len(read_dataset(write_voc(tmp_path)).samples) == 4


def test_a_folder_and_a_table_of_open_images_are_read(tmp_path):
    write_open_images(tmp_path)
    assert len(read_dataset(tmp_path).samples) == 4
    assert len(read_dataset(tmp_path / "train-annotations-object-segmentation.csv").samples) == 4


def test_several_datasets_in_a_folder_are_asked_about(tmp_path):
    path = write_coco(tmp_path)
    shutil.copy(path, tmp_path / "more.json")
    with pytest.raises(UserError, match=r"holds several datasets \(instances.json, more.json\): name the file"):
        read_dataset(tmp_path)


def test_what_is_no_dataset_is_refused_with_what_would_be(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(UserError, match=r"labelled dataset. Known: a Watson dataset .*, COCO .*, OpenImages .*VOC"):
            read_dataset(path)
    with pytest.raises(UserError, match="is not there"):
        read_dataset(tmp_path / "nowhere")


def test_a_folder_of_pictures_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        read_dataset(write_coco(tmp_path), tmp_path / "nowhere")
