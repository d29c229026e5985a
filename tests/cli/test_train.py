"""``train`` and ``evaluate`` as a person calls them."""

from __future__ import annotations

import json

import pytest

from tests.training.scene import write_coco
from watson.cli.reference import commands
from watson.events import TrainingOptions as EventOptions
from watson.training.options import TrainingOptions

COMMANDS = dict(commands())
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


@pytest.mark.torch
def test_a_model_is_not_named_like_one_that_watson_brings(watson, dataset):
    refused = watson("train", "--dataset", dataset, "--name", "efficientnet-lite0-cam").refused()
    assert "the name efficientnet-lite0-cam is that of a model which Watson brings" in refused


@pytest.mark.torch
@pytest.mark.parametrize(
    ("data", "more", "out"),
    [
        ("squares", (), "squares"),
        ("squares", ("--out", "squares/models/first"), "squares/models/first"),
        ("squares", ("--out", "link"), "link"),
        ("squares/instances.json", (), "squares"),
        ("other/instances.json", ("--held-out-dataset", "squares"), "squares"),
    ],
)
def test_a_model_is_not_written_into_a_dataset(watson, dataset, data, more, out):
    (watson.folder / "other").mkdir()
    write_coco(watson.folder / "other", 3)
    (watson.folder / "link").symlink_to("squares")
    before = sorted((watson.folder / "squares").rglob("*"))
    refused = watson("train", "--dataset", data, "--name", "squares", *more, *SMALL).refused()
    assert f"the model would be written to {out}, into the dataset squares: name another folder with --out" in refused
    assert sorted((watson.folder / "squares").rglob("*")) == before


@pytest.mark.torch
def test_a_model_may_lie_beside_the_file_of_a_dataset(watson, dataset):
    out = dataset.parent / "model"
    assert watson("train", "--dataset", dataset, "--name", "squares", "--out", out, *SMALL).code == 0
    assert (out / "model.json").exists()


ASK = ("train", "--dataset", "snapshot:3f9a51c07be2", "--name", "street", "--submit")


@pytest.mark.torch
@pytest.mark.parametrize(
    "option",
    [
        ("--out", "model"),
        ("--images", "pictures"),
        ("--held-out-dataset", "other"),
        ("--patience", "3"),
        ("--variants", "2"),
        ("--cache", "1"),
        ("--weights", "resnet.pth"),
        ("--resume",),
        ("--register",),
    ],
)
def test_what_a_worker_is_not_told_is_refused_with_submit(watson, option):
    assert f"a train worker is not told {option[0]}: leave it out with --submit" in watson(*ASK, *option).refused()


@pytest.mark.torch
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--held-out", "0"), "--held-out 0.0 cannot be asked of a train worker: Input should be greater than 0"),
        (("--held-out", "1"), "--held-out 1.0 cannot be asked of a train worker: Input should be less than 1"),
        (("--epochs", "20000"), "--epochs 20000 cannot be asked of a train worker: Input should be less than or"),
        (("--seed", "9999999999"), "--seed 9999999999 cannot be asked of a train worker: Input should be less than"),
        (("--side", "100"), "the side is 100 pixels: it must be a multiple of 32"),
        (("--base", "vgg"), "there is no base 'vgg'. Known: efficientnet_lite0"),
        (("--patience", "3", "--resume"), "a train worker is not told --patience, --resume: leave them out with"),
        ((), "snapshot"),  # all else is right: it is looked for
    ],
)
def test_what_no_worker_could_do_is_refused_before_it_is_asked(watson, options, why):
    assert why in watson(*ASK, *options).refused()


def test_a_worker_is_asked_for_what_the_command_would_do_itself():
    asked, done = EventOptions(), TrainingOptions()
    assert (asked.side, asked.epochs, asked.seed) == (done.side, done.epochs, done.seed)
    said = {param.name: param.default for param in COMMANDS["train"].params}
    assert asked.model_dump() == {name: said[name] for name in asked.model_dump()}


def test_a_model_that_is_not_known_is_refused(watson, dataset):
    refused = watson("evaluate", "--model", "nobody", "--dataset", dataset).refused(69)
    assert "'nobody' is no folder or file of a model, and none that Watson brings" in refused
    assert "WATSON_BROKERS" in refused


def test_a_model_of_other_categories_is_refused(watson, dataset):
    refused = watson("evaluate", "--model", "test-threshold", "--dataset", dataset).refused()
    assert "have no category in common. The model's: dark, middling, bright. The dataset's: red, green." in refused
