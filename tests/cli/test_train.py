"""``train`` and ``evaluate`` as a person calls them."""

from __future__ import annotations

import json

import pytest

from tests.training.scene import write_coco

SMALL = ("--side", 64, "--epochs", 2, "--variants", 1)


@pytest.fixture
def dataset(watson):
    folder = watson.folder / "squares"
    folder.mkdir()
    return write_coco(folder, 6)


@pytest.mark.torch
def test_a_model_is_trained_and_then_measured_as_it_was(watson, dataset):
    out = watson.folder / "model"
    done = watson("train", "--dataset", dataset, "--name", "squares", "--out", out, *SMALL, "--json")
    assert done.code == 0, done.err
    assert done.json["epochs"] == 2
    assert "features 6/6" in done.err.replace("features 6/6 \n", "features 6/6\n")
    model = json.loads((out / "model.json").read_text())
    assert done.json["evaluation"]["metrics"] == model["metrics"]
    measured = watson("evaluate", "--model", out, "--dataset", dataset, "--json")
    assert measured.json["pictures"] == 6
    assert measured.json["model"].startswith("squares@")
    rows = dict(watson("evaluate", "--model", out / "model.json", "--dataset", dataset).rows)
    assert rows["pictures"] == "6"
    assert rows.keys() >= {"mean_iou", "foreground_iou", "ap", "iou/red", "iou/green"}
    again = watson("train", "--dataset", dataset, "--name", "squares", "--out", out)
    assert "already holds a trained model: name another folder with --out" in again.refused()


@pytest.mark.torch
def test_the_held_out_pictures_may_be_another_dataset(watson, dataset):
    other = watson.folder / "other"
    other.mkdir()
    held_out = write_coco(other, 3)
    out = watson.folder / "model"
    done = watson(
        *("train", "--dataset", dataset, "--name", "squares", "--out", out, *SMALL),
        *("--held-out-dataset", held_out, "--json"),
    )
    assert done.json["evaluation"]["pictures"] == 3
    assert len(json.loads((out / "training.json").read_text())["held_out_pictures"]) == 3


@pytest.mark.torch
def test_an_interruption_says_how_to_go_on(watson, dataset, monkeypatch):
    from watson.training import loop

    out = watson.folder / "model"
    with monkeypatch.context() as patch:
        epoch = loop.HeadTraining.epoch

        def interrupted(self):
            if len(self.state.epochs) == 1:
                raise KeyboardInterrupt
            return epoch(self)

        patch.setattr(loop.HeadTraining, "epoch", interrupted)
        done = watson("train", "--dataset", dataset, "--name", "squares", "--out", out, *SMALL)
    assert done.code == 130
    assert "the same command with --resume goes on where it stopped" in done.err
    assert "go on with --resume" in watson("train", "-d", dataset, "-n", "squares", "-o", out, *SMALL).refused()
    done = watson("train", "--dataset", dataset, "--name", "squares", "--out", out, *SMALL, "--resume")
    assert done.code == 0
    assert (out / "model.json").exists()


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--dataset", "nowhere", "--name", "m"], "the dataset nowhere is not there"),
        (["--dataset", "squares", "--name", "no/name"], "'no/name' is no model name"),
        (["--dataset", "squares", "--name", "m", "--base", "vgg"], "there is no base 'vgg'"),
        (
            ["--dataset", "squares", "--name", "m", "--base", "resnet50", "--weights", "nowhere.pth"],
            "nowhere.pth cannot be read",
        ),
        (["--dataset", "squares", "--name", "m", "--side", "100"], "multiple of 32"),
        (["--dataset", "squares", "--name", "m", "--images", "nowhere"], "nowhere is no folder"),
        (["--dataset", "squares", "--name", "m", "--weights", "nowhere.pth"], "leave nowhere.pth out"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_line(watson, dataset, monkeypatch, arguments, why):
    monkeypatch.chdir(watson.folder)
    assert why in watson("train", *arguments).refused()


def test_a_model_that_is_not_known_is_refused(watson, dataset):
    refused = watson("evaluate", "--model", "nobody", "--dataset", dataset).refused(69)
    assert "'nobody' is no folder or file of a model, and none that Watson brings" in refused
    assert "WATSON_BROKERS" in refused


def test_a_model_of_other_categories_is_refused(watson, dataset):
    refused = watson("evaluate", "--model", "test-threshold", "--dataset", dataset).refused()
    assert "have no category in common. The model's: dark, middling, bright. The dataset's: red, green." in refused
