"""Torchvision's Mask R-CNN finds what torchvision itself finds, pasted and thresholded alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.model.kinds.torchvision_files import equal, loaded, network, picture, saved
from watson.model.kinds import Prepared
from watson.model.kinds import torchvision as kind
from watson.model.kinds.torchvision_detection import visible
from watson.model.segmenter import Segmenter

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
        assert one.score == pytest.approx(score, abs=1e-4)
        assert one.mask.dtype == np.bool_
        assert one.mask.shape == (100, 130)
        # The two compute in another layout of memory, so that a pixel at the threshold may be on either side.
        assert (one.mask != mask).mean() < 0.002


def test_a_picture_is_segmented_alike_alone_and_in_any_batch(made: Made) -> None:
    pictures = [picture(80, 100, 1), picture(80, 100, 2), picture(100, 80, 3)]
    alone = [made.model.segment([one])[0] for one in pictures]
    assert any(one.instances for one in alone)
    for order in ([0, 1, 2], [2, 1, 0]):
        together = made.model.segment([pictures[place] for place in order])
        assert all(equal(one, alone[place]) for one, place in zip(together, order, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (2, 200), (200, 1), (5, 5)])
def test_odd_pictures_are_segmented_too(made: Made, size: tuple[int, int]) -> None:
    found = made.model.segment([picture(*size)])[0].instances
    assert all(one.mask.shape == size and LEAST <= one.score <= 1 for one in found)


def test_every_default_is_written_out(made: Made) -> None:
    configuration = dict(made.prepared.configuration)
    epsilon = 1e-5 if configuration["architecture"] == ARCHITECTURES[0] else None
    assert configuration.pop("norm_epsilon") == epsilon
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
