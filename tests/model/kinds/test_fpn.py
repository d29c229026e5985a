"""The kind that runs trained heads, on a network whose head has random weights: what comes out, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from watson.errors import UserError
from watson.model.kinds import kind_named
from watson.model.segmenter import ModelInfo

pytestmark = pytest.mark.torch
GIVEN = {"base": "efficientnet_lite0", "categories": ["red", "green"], "side": 64, "width": 12}
INFO = ModelInfo("squares", "1", "fpn", "a" * 64, ("red", "green"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    import safetensors.torch
    import torch

    from watson.model.backbones import base_named, pretrained
    from watson.model.fpn import FpnNetwork

    torch.manual_seed(0)
    base = base_named("efficientnet_lite0")
    network = FpnNetwork(base, 3, 12)
    network.backbone.load_state_dict(pretrained(base).state_dict())
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def kind():
    return kind_named("fpn")


@pytest.fixture(scope="module")
def model(kind, weights, tmp_path_factory):
    prepared = kind.prepare(GIVEN, weights, tmp_path_factory.mktemp("made"))
    return kind.load(INFO, prepared.configuration, prepared.weights, device="cpu", torch_threads=1)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_every_default_is_written_out(kind, weights, tmp_path):
    prepared = kind.prepare(GIVEN, weights, tmp_path)
    assert prepared.weights == weights
    assert prepared.categories == ("red", "green")
    assert prepared.configuration == {**GIVEN, "algorithm": 1, "least_area": 0.002, "most": 100}
    assert prepared.licence == "Apache-2.0"
    assert kind.prepare(prepared.configuration, weights, tmp_path).configuration == prepared.configuration


@pytest.mark.parametrize("size", [(48, 64), (1, 1), (300, 40), (33, 500)])
def test_masks_have_the_size_of_the_picture_and_do_not_overlap(model, size):
    (segmentation,) = model.segment([picture(*size)])
    assert segmentation.instances
    assert all(one.mask.shape == size and one.mask.dtype == np.bool_ for one in segmentation.instances)
    assert np.sum([one.mask for one in segmentation.instances], axis=0).max() <= 1
    scores = [one.score for one in segmentation.instances]
    assert scores == sorted(scores, reverse=True)
    assert {(one.category_id, one.category) for one in segmentation.instances} <= {(0, "red"), (1, "green")}


def test_a_picture_alone_gets_the_masks_that_it_gets_among_others(model):
    pictures = [picture(48, 64), picture(64, 48, 1), picture(48, 64, 2)]
    together = model.segment(pictures)
    assert any(segmentation.instances for segmentation in together)
    for one, segmentation in zip(pictures, together, strict=True):
        (alone,) = model.segment([one])
        assert [(i.category, i.score) for i in alone.instances] == [
            (i.category, i.score) for i in segmentation.instances
        ]
        assert all(np.array_equal(a.mask, b.mask) for a, b in zip(alone.instances, segmentation.instances, strict=True))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"base": "vgg"}, "there is no base 'vgg'"),
        ({"colour": "red"}, "configuration: colour: "),
        ({"side": 100}, "configuration: side: "),
        ({"categories": []}, "configuration: categories: "),
        ({"categories": ["red", "red"]}, "categories: a name stands there twice"),
        ({"categories": ["red"]}, "does not hold the weights of efficientnet_lite0 with a head .* 1 categories: head"),
        ({"width": 24}, "with a head of width 24"),
        ({"base": "resnet50"}, "does not hold the weights of resnet50"),
    ],
)
def test_a_configuration_that_is_wrong_or_of_other_weights_is_refused(kind, weights, tmp_path, changes, why):
    with pytest.raises(UserError, match=why):
        kind.prepare(GIVEN | changes, weights, tmp_path)


def test_weights_that_are_missing_or_damaged_are_refused(kind, weights, tmp_path):
    with pytest.raises(UserError, match="needs its weights"):
        kind.prepare(GIVEN, None, tmp_path)
    with pytest.raises(UserError, match="is no file of safetensors that can be read"):
        kind.prepare(GIVEN, tmp_path / "nowhere", tmp_path)
    (tmp_path / "cut").write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(UserError, match="is no file of safetensors that can be read"):
        kind.prepare(GIVEN, tmp_path / "cut", tmp_path)


def test_a_device_that_is_not_there_is_named(kind, weights):
    with pytest.raises(UserError, match=r"The device 'nowhere' \(WATSON_DEVICE\) cannot be used"):
        kind.load(INFO, GIVEN, weights, device="nowhere", torch_threads=1)
