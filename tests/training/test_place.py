from __future__ import annotations

import json

import pytest

from watson.errors import UserError
from watson.training.place import TrainingPlace


@pytest.fixture
def place(tmp_path):
    return TrainingPlace(tmp_path / "model")


def test_a_training_that_was_begun_goes_on_when_asked_alone(place):
    place.check(resume=False)
    place.begin({"seed": 1})
    with pytest.raises(UserError, match=r"was interrupted in .*: go on with --resume, or delete .*.training"):
        place.check(resume=False)
    place.check(resume=True)
    place.begin({"seed": 1})


def test_a_training_that_was_begun_otherwise_is_not_gone_on_with(place):
    place.begin({"seed": 1, "side": 64, "base": "a"})
    with pytest.raises(UserError, match=r"was begun with other values of: base, seed\."):
        place.begin({"seed": 2, "side": 64, "base": "b"})


def test_a_damaged_beginning_is_named(place):
    place.begin({"seed": 1})
    (place.unfinished / "begun.json").write_text("{")
    with pytest.raises(UserError, match=r"begun.json is damaged: delete"):
        place.begin({"seed": 1})


def test_what_is_no_number_is_not_written(place):
    with pytest.raises(ValueError, match="not JSON compliant"):
        place.begin({"seed": float("nan")})
    place.begin({"seed": 1})


def test_the_folder_of_an_exported_dataset_gets_no_model_also_when_its_file_is_named(tmp_path):
    annotations = tmp_path / "street" / "annotations"
    annotations.mkdir(parents=True)
    (annotations / "instances.json").write_text("{}")
    for folder in ("street", "street/annotations"):
        with pytest.raises(UserError, match=rf"written to .*, into the dataset .*{folder}: name another folder"):
            TrainingPlace(tmp_path / folder).check_apart(annotations / "instances.json")
    TrainingPlace(tmp_path / "street-model").check_apart(annotations / "instances.json")
    TrainingPlace(tmp_path / "street-model").check_apart(tmp_path / "street")


def test_a_finished_model_is_that_of_the_same_question_alone(place):
    place.begin({"seed": 0})
    place.finish({"name": "street"}, {"seed": 0, "epochs": []})
    place.check_same("street", {"seed": 0})
    with pytest.raises(UserError, match=r"holds another model, of name street, seed 0: give the same again"):
        place.check_same("other", {"seed": 1})
    place.model.write_text("{")
    with pytest.raises(UserError, match="does not hold a finished training that can be read"):
        place.check_same("street", {"seed": 0})


def test_a_finished_model_is_not_overwritten(place):
    place.begin({"seed": 1})
    place.finish({"name": "Käse"}, {"epochs": []})
    assert json.loads(place.model.read_text("utf-8")) == {"name": "Käse"}
    assert not place.unfinished.exists()
    for resume in (False, True):
        with pytest.raises(UserError, match="already holds a trained model"):
            place.check(resume=resume)
