"""The default model on real photographs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from watson.errors import UserError
from watson.events import DEFAULT_MODEL
from watson.model import efficientnet_cam
from watson.model.efficientnet_cam import Configuration, EfficientNetCam
from watson.model.segmenter import Picture, Segmentation

pytestmark = pytest.mark.torch


def package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def photograph(path: Path) -> Picture:
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        rgb.thumbnail((1024, 1024))
        return np.asarray(rgb)


def imagenet() -> list[Path]:
    """foolbox's 20 pictures: imagenet_<number>_<class>.jpg."""
    return sorted((package("foolbox") / "data").glob("imagenet_*.jpg"))


@pytest.fixture(scope="module")
def model() -> Iterator[EfficientNetCam]:
    threads = cv2.getNumThreads()
    yield efficientnet_cam.load(torch_threads=1)
    cv2.setNumThreads(threads)


def equal(one: Segmentation, other: Segmentation) -> bool:
    """To the last bit."""
    return len(one.instances) == len(other.instances) and all(
        (a.category_id, a.score) == (b.category_id, b.score) and np.array_equal(a.mask, b.mask)
        for a, b in zip(one.instances, other.instances, strict=True)
    )


@pytest.mark.slow
def test_most_photographs_are_named_right_with_honest_scores(model: EfficientNetCam) -> None:
    paths = imagenet()
    best = [model.segment([photograph(path)])[0].instances[0] for path in paths]
    right = [one.category_id == int(path.stem.split("_")[2]) for one, path in zip(best, paths, strict=True)]
    assert sum(right) >= 17
    assert np.mean([one.score for one in best]) == pytest.approx(0.85, abs=0.1)
    assert min(one.score for one in best) > 0.2


def test_the_mask_of_a_flower_is_the_flower(model: EfficientNetCam) -> None:
    picture = photograph(package("sklearn") / "datasets" / "images" / "flower.jpg")
    best = model.segment([picture])[0].instances[0]
    red = (picture[..., 0] > 100) & (picture[..., 0] > 1.5 * picture[..., 2])
    assert best.category == "daisy"
    assert (best.mask & red).sum() / (best.mask | red).sum() > 0.85


def test_the_mask_of_a_silhouette_is_the_silhouette(model: EfficientNetCam) -> None:
    picture = photograph(package("skimage") / "data" / "horse.png")
    mask = model.segment([picture])[0].instances[0].mask
    black = picture[..., 0] < 128
    assert (mask & black).sum() / (mask | black).sum() > 0.9


def test_two_things_side_by_side_are_two_masks_that_do_not_overlap(model: EfficientNetCam) -> None:
    halves = [cv2.resize(photograph(imagenet()[number]), (320, 320)) for number in (13, 15)]
    found = model.segment([np.hstack(halves)])[0].instances
    assert [one.category for one in found] == ["goose", "cannon"]
    assert found[0].mask[:, 320:].sum() > 0.9 * found[0].mask.sum()
    assert found[1].mask[:, :320].sum() > 0.9 * found[1].mask.sum()
    assert (found[0].mask & found[1].mask).sum() < 0.01 * found[0].mask.sum()


def test_second_names_of_one_thing_are_left_out(model: EfficientNetCam) -> None:
    picture = photograph(package("skimage") / "data" / "chelsea.png")
    found = model.segment([picture])[0].instances
    assert [one.category for one in found] == ["Egyptian cat"]  # and not tiger cat, tabby with nearly the same mask


def test_a_picture_is_segmented_alike_alone_and_in_any_batch_with_any_threads(model: EfficientNetCam) -> None:
    pictures = [photograph(path) for path in imagenet()[14:18]]
    pictures[1] = np.ascontiguousarray(pictures[1][:150])  # another input size
    together = model.segment(pictures)
    alone = [model.segment([picture])[0] for picture in pictures]
    threaded = EfficientNetCam(model._network, model.info, Configuration(), threads=3).segment(pictures[::-1])[::-1]
    for one, other, third in zip(together, alone, threaded, strict=True):
        assert equal(one, other)
        assert equal(one, third)


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 1), (5, 5), (32, 1024)])
@pytest.mark.parametrize("value", [0, 255])
def test_odd_pictures_are_segmented_too(model: EfficientNetCam, size: tuple[int, int], value: int) -> None:
    found = model.segment([np.full((*size, 3), value, np.uint8)])[0].instances
    assert len(found) >= 1
    assert all(one.mask.shape == size and one.mask.dtype == np.bool_ and 0 <= one.score <= 1 for one in found)


def test_no_pictures_are_no_segmentations(model: EfficientNetCam) -> None:
    assert model.segment([]) == []


def test_the_loaded_model_is_the_one_that_is_resolved_without_torch(model: EfficientNetCam) -> None:
    assert model.info == efficientnet_cam.info()
    assert model.info.name == DEFAULT_MODEL


def test_another_configuration_is_another_version() -> None:
    assert efficientnet_cam.info(Configuration(temperature=0.6)).version != efficientnet_cam.info().version


@pytest.mark.parametrize("device", ["cuda:77", "nonsense"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(UserError, match=f"'{device}' \\(WATSON_DEVICE\\)"):
        efficientnet_cam.load(device=device)


def test_a_file_of_other_tensors_is_refused(tmp_path: Path) -> None:
    import torch

    from watson.model.efficientnet_network import EfficientNetLite0

    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth does not hold the tensors"):
        EfficientNetLite0(tmp_path / "other.pth", device="cpu")
