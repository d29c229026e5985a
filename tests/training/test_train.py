"""Training end to end on pictures of 64 × 48: the same again, interrupted, resumed; what it writes can be used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.scene import CATEGORIES, HEIGHT, WIDTH, coco_document, run_lengths, write_coco
from watson.errors import UserError
from watson.training.evaluation import evaluate
from watson.training.labelled import split
from watson.training.options import TrainingOptions
from watson.training.place import TrainingPlace
from watson.training.readers import read_dataset

pytestmark = pytest.mark.torch
OPTIONS = TrainingOptions(side=64, epochs=6, variants=2, batch=4, width=24, learning_rate=1e-2)


class Interrupted(Exception):  # noqa: N818 - named for what happened
    """What Ctrl-C is to these tests."""


def run(parts, folder: Path, options: TrainingOptions = OPTIONS, **more):
    from watson.model.backbones import base_named, pretrained
    from watson.training.train import train

    backbone = pretrained(base_named(options.base))
    return train(*parts, TrainingPlace(folder), options, name="squares", backbone=backbone, **more)


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return split(read_dataset(write_coco(tmp_path_factory.mktemp("coco"), 12)), 0.25, 0)


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "squares"
    return run(parts, folder), folder


def test_the_model_learns_what_the_pictures_show(trained):
    done, _ = trained
    assert done.evaluation.mean_iou > 0.5
    assert done.evaluation.foreground_iou > 0.5
    assert done.epochs == 6
    assert 1 <= done.best_epoch <= 6


def test_the_description_says_all_that_a_registry_needs(trained, parts):
    done, folder = trained
    model = json.loads((folder / "model.json").read_text())
    assert done.model == folder / "model.json"
    assert model["name"] == "squares"
    assert model["kind"] == "fpn"
    assert model["sha256"] == sha256(folder)
    assert model["configuration"]["categories"] == list(CATEGORIES)
    assert model["metrics"] == done.evaluation.metrics()
    assert model["base"] == "efficientnet_lite0"
    assert model["licence"] == "Apache-2.0"
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "training.json", "weights.safetensors"]
    history = json.loads((folder / "training.json").read_text())
    assert history["held_out_pictures"] == [sample.name for sample in parts[1].samples]
    assert len(history["epochs"]) == 6


def test_the_model_can_be_registered_and_is_as_good_as_it_says(trained, parts, tmp_path):
    from watson.model.description import read_description
    from watson.model.kinds import fpn
    from watson.model.preparing import prepare

    done, folder = trained
    ready = prepare(read_description(folder / "model.json"), tmp_path)
    assert ready.event.metrics == done.evaluation.metrics()
    segmenter = fpn.load(ready.card.info, ready.card.configuration, ready.weights, device="cpu", torch_threads=1)
    assert evaluate(segmenter, parts[1]) == done.evaluation


def test_the_same_seed_gives_the_same_weights_and_another_others(trained, parts, tmp_path):
    _, folder = trained
    run(parts, tmp_path / "same")
    assert sha256(tmp_path / "same") == sha256(folder)
    run(parts, tmp_path / "other", dataclasses.replace(OPTIONS, seed=1))
    assert sha256(tmp_path / "other") != sha256(folder)


@pytest.mark.parametrize("stop", [("features", 5), ("epochs", 1), ("epochs", 4), ("evaluation", 2)])
def test_a_training_that_was_interrupted_ends_in_the_same_weights(trained, parts, tmp_path, stop):
    done, folder = trained

    def interrupt(stage: str, number: int, _total: int, _note: str = "") -> None:
        if (stage, number) == stop:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(parts, tmp_path / "squares", on_progress=interrupt)
    with pytest.raises(UserError, match="--resume"):
        run(parts, tmp_path / "squares")
    stages: dict[str, int] = {}
    again = run(
        parts,
        tmp_path / "squares",
        resume=True,
        on_progress=lambda stage, number, *_: stages.setdefault(stage, number),
    )
    order = ("features", "epochs", "evaluation")
    assert stages[stop[0]] == (1 if stop[0] == "evaluation" else stop[1])  # nothing that was done is done again
    assert all(stages[stage] > 0 for stage in order[: order.index(stop[0])])
    assert sha256(tmp_path / "squares") == sha256(folder)
    assert again.evaluation == dataclasses.replace(done.evaluation)


def test_a_cache_that_is_too_small_changes_nothing_but_time(trained, parts, tmp_path):
    run(parts, tmp_path / "small", dataclasses.replace(OPTIONS, cache_bytes=100_000))
    assert sha256(tmp_path / "small") == sha256(trained[1])


def test_training_ends_when_it_gets_no_better(parts, tmp_path):
    done = run(parts, tmp_path / "m", dataclasses.replace(OPTIONS, epochs=50, patience=2, learning_rate=0.0))
    assert done.epochs == done.best_epoch + 2 < 50


def test_other_pictures_are_another_training(parts, tmp_path):
    def interrupt(*_: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        run(parts, tmp_path / "m", on_progress=interrupt)
    fewer = dataclasses.replace(parts[0], samples=parts[0].samples[1:])
    with pytest.raises(UserError, match="other values of: training pictures"):
        run((fewer, parts[1]), tmp_path / "m", resume=True)


def test_a_damaged_checkpoint_is_named(parts, tmp_path):
    def interrupt(stage: str, number: int, *_: object) -> None:
        if (stage, number) == ("epochs", 1):
            raise Interrupted

    with pytest.raises(Interrupted):
        run(parts, tmp_path / "m", on_progress=interrupt)
    checkpoint = tmp_path / "m" / ".training" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"checkpoint.pt is damaged"):
        run(parts, tmp_path / "m", resume=True)


def test_parts_of_other_categories_are_refused(parts, tmp_path):
    other = dataclasses.replace(parts[1], categories=("red", "blue"))
    with pytest.raises(UserError, match="have not the same categories"):
        run((parts[0], other), tmp_path / "m")


@pytest.mark.parametrize(
    ("categories", "why"),
    [
        (("red", "g" * 201), r"the category 'g{60}…': String should have at most 200 characters"),
        (("red", "g" * 198), r"the category 'g{60}…', measured as iou/ and its name: String should have at most 200"),
        (
            tuple(f"a category of many, {number}" for number in range(3000)),
            r"its 3000 categories are too many or their names too long: .* more than 65536",
        ),
    ],
)
def test_categories_that_no_registry_takes_are_refused_before_any_work(parts, tmp_path, categories, why):
    with pytest.raises(UserError, match=rf"no model of .*instances.json could be registered: {why}"):
        run([dataclasses.replace(part, categories=categories) for part in parts], tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_longest_name_that_is_taken_can_be_registered(parts, tmp_path):
    from watson.model.description import read_description
    from watson.model.preparing import prepare

    parts = [dataclasses.replace(part, categories=("red", "g" * 196)) for part in parts]
    done = run(parts, tmp_path / "m", dataclasses.replace(OPTIONS, epochs=1))
    (tmp_path / "empty").mkdir()
    assert "iou/" + "g" * 196 in prepare(read_description(done.model), tmp_path / "empty").event.metrics


def test_an_unknown_base_is_refused(parts, tmp_path):
    with pytest.raises(UserError, match=r"there is no base 'vgg'. Known: efficientnet_lite0, mobilenet_v3_large"):
        run(parts, tmp_path / "m", dataclasses.replace(OPTIONS, base="vgg"))


def crowded(folder: Path, number: int, crowds: set[int]):
    """``number`` pictures, of which ``crowds`` show nothing else than a crowd."""
    document = coco_document(number)
    for place in crowds:
        whole = run_lengths(np.ones((HEIGHT, WIDTH), np.bool_))
        document["annotations"][place] |= {"iscrowd": 1, "segmentation": whole}
    return read_dataset(write_coco(folder, number, **document))


def test_a_batch_of_crowds_alone_teaches_nothing(tmp_path):
    crowds = crowded(tmp_path, 4, {1, 2})
    parts = [dataclasses.replace(crowds, samples=crowds.samples[begin : begin + 2]) for begin in (0, 2)]
    done = run(parts, tmp_path / "m", dataclasses.replace(OPTIONS, epochs=2, batch=1))
    history = json.loads((tmp_path / "m" / "training.json").read_text(), parse_constant=pytest.fail)
    assert all(epoch["loss"] > 0 for epoch in history["epochs"])
    assert done.epochs == 2


def test_pictures_of_crowds_alone_are_refused(tmp_path):
    crowds = crowded(tmp_path, 4, {0, 1})
    parts = [dataclasses.replace(crowds, samples=crowds.samples[begin : begin + 2]) for begin in (0, 2)]
    with pytest.raises(UserError, match=r"nothing can be learned from .*: every pixel is of a crowd or void"):
        run(parts, tmp_path / "m", dataclasses.replace(OPTIONS, epochs=2))


def test_a_side_that_the_network_cannot_take_is_refused():
    with pytest.raises(UserError, match="multiple of 32"):
        TrainingOptions(side=100)
