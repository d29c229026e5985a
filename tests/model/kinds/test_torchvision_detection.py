"""Torchvision's Mask R-CNN finds what torchvision itself finds, pasted and thresholded alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torchvision.models import Weights, WeightsEnum

from tests.model.kinds.torchvision_files import equal, loaded, network, picture, saved
from watson.errors import UserError
from watson.model.kinds import Prepared, torchvision_detection
from watson.model.kinds import torchvision as kind
from watson.model.kinds.batches import batches
from watson.model.kinds.torchvision_detection import visible
from watson.model.segmenter import Segmenter
from watson.model.weights import sha256_of

pytestmark = [pytest.mark.torch, pytest.mark.slow]

ARCHITECTURES = ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"]
NAMES = ["cat", None, "dog", "bird"]
LABELS = {"cat": (0, 1), "dog": (1, 3), "bird": (2, 4)}
"""Name → category id and the network's label."""
LEAST = 0.22


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Made:
    """Torchvision's network, and the model that is made of its weights."""

    def __init__(self, architecture: str, folder: Path) -> None:
        self.reference: Any = network(architecture, 5, min_size=96, max_size=128)
        given: dict[str, Any] = {
            "architecture": architecture,
            "categories": NAMES,
            "min_size": 96,
            "max_size": 128,
            "least_score": LEAST,
        }
        self.prepared: Prepared = kind.prepare(given, saved(self.reference, folder / "mine.pth"), folder)
        self.model: Segmenter = loaded(self.prepared)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(request.param, tmp_path_factory.mktemp("made"))


def test_instances_are_those_of_torchvisions_own_output(made: Made) -> None:
    shown = picture(100, 130)
    with torch.inference_mode():
        output = made.reference([torch.from_numpy(shown).permute(2, 0, 1).float() / 255])[0]
    sure = output["scores"] >= LEAST
    labels, scores, masks = (output[key][sure].numpy() for key in ("labels", "scores", "masks"))
    expected = [
        (int(label), float(score), mask[0] > 0.5)
        for label, score, mask in zip(labels, scores, masks, strict=True)
        if NAMES[label - 1] is not None and (mask > 0.5).any()
    ]
    found = made.model.segment([shown])[0].instances
    assert len(found) == len(expected) > 1
    for one, (label, score, mask) in zip(found, expected, strict=True):
        assert (one.category_id, label) == LABELS[one.category]
        assert one.score == pytest.approx(score, abs=1e-3)
        assert one.mask.dtype == np.bool_
        assert one.mask.shape == (100, 130)
        # The two compute in another layout of memory, so that a pixel at the threshold may be on either side.
        assert (one.mask != mask).mean() < 0.002


def test_masks_are_pasted_to_the_last_bit_as_torchvision_pastes_them(made: Made) -> None:
    """Of the same detections: torchvision's own pastes them all at once."""
    model: Any = made.model
    shown = picture(100, 130, 5)
    detections, sizes = model._detections([shown])
    (found,) = [model._segmentation(detections[0], sizes[0], (100, 130))]
    (theirs,) = made.reference.transform.postprocess(detections, sizes, [(100, 130)])
    things = [
        (float(score), mask[0] > 0.5)
        for score, mask, label in zip(
            theirs["scores"].numpy(), theirs["masks"].numpy(), theirs["labels"].numpy(), strict=True
        )
        if NAMES[label - 1] is not None and (mask > 0.5).any()
    ]
    assert len(found.instances) == len(things) > 1
    for one, (score, mask) in zip(found.instances, things, strict=True):
        assert one.score == score
        assert np.array_equal(one.mask, mask)


def test_a_picture_is_segmented_alike_alone_and_in_any_batch(made: Made) -> None:
    pictures = [picture(80, 100, 1), picture(80, 100, 2), picture(100, 80, 3)]
    alone = [made.model.segment([one])[0] for one in pictures]
    assert any(one.instances for one in alone)
    for order in ([0, 1, 2], [2, 1, 0]):
        together = made.model.segment([pictures[place] for place in order])
        assert all(equal(one, alone[place]) for one, place in zip(together, order, strict=True))


def test_pictures_that_go_together_come_back_each_to_its_own(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: pictures of one size in one batch, so that last bits may differ."""
    monkeypatch.setattr(torchvision_detection, "batches", lambda sizes, alone: batches(sizes, alone=False))
    pictures = [picture(80, 100, 1), picture(100, 80, 3), picture(80, 100, 2), picture(1, 200)]
    together = made.model.segment(pictures)
    monkeypatch.undo()
    for shown, found in zip(pictures, together, strict=True):
        alone = made.model.segment([shown])[0]
        assert [one.category for one in found.instances] == [one.category for one in alone.instances]
        for one, other in zip(found.instances, alone.instances, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert one.mask.shape == shown.shape[:2]
            assert (one.mask != other.mask).mean() < 0.01


def test_an_epsilon_for_the_other_network_is_refused(tmp_path: Path) -> None:
    given: dict[str, Any] = {"architecture": ARCHITECTURES[1], "norm_epsilon": 0.0}
    with pytest.raises(UserError, match="norm_epsilon is for maskrcnn_resnet50_fpn alone"):
        kind.prepare(given, tmp_path / "none.pth", tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (2, 200), (200, 1), (5, 5)])
def test_odd_pictures_are_segmented_too(made: Made, size: tuple[int, int]) -> None:
    found = made.model.segment([picture(*size)])[0].instances
    assert all(one.mask.shape == size and LEAST <= one.score <= 1 for one in found)


def test_every_default_is_written_out(made: Made) -> None:
    configuration = dict(made.prepared.configuration)
    assert configuration == {
        "algorithm": 1,
        "architecture": configuration["architecture"],
        "weights": None,
        "categories": NAMES,
        "precision": "float32",
        "min_size": 96,
        "max_size": 128,
        "least_score": LEAST,
        "mask_threshold": 0.5,
        "least_area": 0.0,
        "most": 100,
        "norm_epsilon": 1e-5 if configuration["architecture"] == ARCHITECTURES[0] else None,
    }
    assert made.prepared.categories == ("cat", "dog", "bird")


def test_of_the_91_numbers_of_coco_the_80_that_are_things_become_categories(tmp_path: Path) -> None:
    weights = saved(network(ARCHITECTURES[0], 91), tmp_path / "coco.pth")
    prepared = kind.prepare({"architecture": ARCHITECTURES[0]}, weights, tmp_path)
    assert len(prepared.categories) == 80
    assert prepared.categories[0] == "person"
    assert prepared.categories[-1] == "toothbrush"


@pytest.mark.parametrize(
    ("size", "seen"), [((1, 1), True), ((1, 128), True), ((1, 129), False), ((129, 1), False), ((2, 200), True)]
)
def test_what_is_less_than_a_pixel_wide_to_the_network_is_not_seen(size: tuple[int, int], seen: bool) -> None:
    assert visible(*size, 96, 128) is seen


def test_of_torchvisions_first_weights_the_normalisation_has_no_epsilon_as_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torchvision sets it to 0 for ``COCO_V1`` of ``maskrcnn_resnet50_fpn`` alone."""
    weights = saved(network(ARCHITECTURES[0], 91), tmp_path / "coco.pth")

    class Published(WeightsEnum):
        COCO_V1 = Weights(
            url=f"http://127.0.0.1:9/maskrcnn-{sha256_of(weights)[:8]}.pth",
            transforms=None,
            meta={"categories": ["__background__", *(str(number) for number in range(1, 91))]},
        )
        DEFAULT = COCO_V1

    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _: Published)
    prepared = kind.prepare({"architecture": ARCHITECTURES[0]}, weights, tmp_path)
    assert prepared.configuration["weights"] == "COCO_V1"
    assert prepared.configuration["norm_epsilon"] == 0
    model: Any = loaded(prepared)
    norms = [module for module in model._network.backbone.modules() if hasattr(module, "eps")]
    assert {norm.eps for norm in norms} == {0.0}
