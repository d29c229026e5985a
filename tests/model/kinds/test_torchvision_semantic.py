"""Torchvision's semantic networks say what torchvision itself says, and the same in every batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional
from torchvision.transforms._presets import SemanticSegmentation

from tests.model.kinds.torchvision_files import SMALLEST, equal, loaded, network, picture, saved
from watson.model.kinds import torchvision as kind
from watson.model.kinds import torchvision_semantic
from watson.model.kinds.batches import batches
from watson.model.kinds.torchvision_semantic import _input, input_size
from watson.model.segmenter import Picture, Segmentation, Segmenter

pytestmark = pytest.mark.torch

NAMES = ["cat", None, "dog"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def made(architecture: str, folder: Path, **settings: Any) -> tuple[Any, Segmenter]:
    """Torchvision's network, and the model that is made of its weights."""
    reference = network(architecture, 4, **({} if "lraspp" in architecture else {"aux_loss": True}))
    given: dict[str, Any] = {"architecture": architecture, "categories": NAMES, "resize": 64, **settings}
    return reference, loaded(kind.prepare(given, saved(reference, folder / "mine.pth"), folder))


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return made(SMALLEST, tmp_path_factory.mktemp("smallest"))[1]


@pytest.mark.parametrize(
    "architecture",
    [
        SMALLEST,
        "deeplabv3_mobilenet_v3_large",
        pytest.param("deeplabv3_resnet50", marks=pytest.mark.slow),
        pytest.param("deeplabv3_resnet101", marks=pytest.mark.slow),
        pytest.param("fcn_resnet50", marks=pytest.mark.slow),
        pytest.param("fcn_resnet101", marks=pytest.mark.slow),
    ],
)
def test_masks_are_the_maximum_of_torchvisions_own_output(architecture: str, tmp_path: Path) -> None:
    reference, model = made(architecture, tmp_path, least_area=0.0, most=1000)
    shown = picture(64, 96)
    with torch.inference_mode():
        output = reference(SemanticSegmentation(resize_size=64)(torch.from_numpy(shown).permute(2, 0, 1))[None])["out"]
    winner = output[0].argmax(0).numpy()
    assert len(np.unique(winner)) > 1  # else any answer would do
    found = model.segment([shown])[0].instances
    for category_id, (name, channel) in enumerate([("cat", 1), ("dog", 3)]):
        own = [one for one in found if one.category == name]
        assert all(one.category_id == category_id for one in own)
        union = np.any([one.mask for one in own], axis=0) if own else np.zeros_like(winner, np.bool_)
        # The two compute in another layout of memory; where two channels are all but equal, either may win.
        assert ((winner == channel) != union).mean() < 0.002
    softmax = output[0].softmax(0).numpy()
    for one in found:
        channel = {"cat": 1, "dog": 3}[one.category]
        assert one.score == pytest.approx(float(softmax[channel][one.mask].mean()), abs=1e-4)


def test_a_picture_is_segmented_alike_alone_and_in_any_batch(smallest: Segmenter) -> None:
    pictures = [picture(80, 100, 1), picture(80, 100, 2), picture(100, 80, 3), picture(80, 100, 4)]
    alone = [smallest.segment([one])[0] for one in pictures]
    assert any(one.instances for one in alone)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1]):
        together = smallest.segment([pictures[place] for place in order])
        assert all(equal(one, alone[place]) for one, place in zip(together, order, strict=True))


def test_pictures_that_go_together_come_back_each_to_its_own(
    smallest: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: pictures of one size in one batch, so that last bits may differ."""
    monkeypatch.setattr(torchvision_semantic, "batches", lambda sizes, alone: batches(sizes, alone=False))
    pictures = [picture(80, 100, 1), picture(100, 80, 3), picture(80, 100, 2)]
    together = smallest.segment(pictures)
    monkeypatch.undo()
    for shown, found in zip(pictures, together, strict=True):
        assert np.array_equal(_drawn(found, shown), _drawn(smallest.segment([shown])[0], shown))


def _drawn(found: Segmentation, shown: Picture) -> Any:
    """What each pixel shows; 0 for nothing."""
    drawn = np.zeros(shown.shape[:2], np.int64)
    for one in found.instances:
        drawn[one.mask] = one.category_id + 1
    return drawn


def test_loaded_again_it_says_the_same(smallest: Segmenter, tmp_path: Path) -> None:
    again = made(SMALLEST, tmp_path)[1]
    assert equal(again.segment([picture(70, 90)])[0], smallest.segment([picture(70, 90)])[0])


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 1), (5, 5)])
def test_odd_pictures_are_segmented_too(smallest: Segmenter, size: tuple[int, int]) -> None:
    found = smallest.segment([picture(*size)])[0].instances
    assert all(one.mask.shape == size and one.mask.dtype == np.bool_ and 0 <= one.score <= 1 for one in found)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_a_picture_that_may_not_be_written_to_is_segmented_and_left_as_it_is(smallest: Segmenter) -> None:
    shown = picture(64, 64)
    before = shown.copy()
    shown.flags.writeable = False
    smallest.segment([shown])
    assert np.array_equal(shown, before)


def test_no_pictures_are_no_segmentations(smallest: Segmenter) -> None:
    assert smallest.segment([]) == []


@given(st.integers(1, 300), st.integers(1, 300))
def test_sizes_are_those_of_torchvision_where_no_side_is_too_long(height: int, width: int) -> None:
    ours = input_size(height, width, 40, 10**9)
    theirs = functional.resize(Image.new("1", (width, height)), [40]) if max(ours) < 2000 else None
    assert min(ours) == 40
    assert theirs is None or theirs.size == ours[::-1]
    assert max(input_size(height, width, 40, 100)) <= 100
    assert min(input_size(height, width, 40, 100)) >= 1


def test_the_network_sees_a_picture_as_through_torchvisions_transforms() -> None:
    shown = picture(90, 133)
    theirs = SemanticSegmentation(resize_size=64)(torch.from_numpy(shown).permute(2, 0, 1))
    assert torch.equal(_input(shown, input_size(90, 133, 64, 2080)), theirs)
