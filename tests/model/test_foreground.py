"""Outlines from a blurred hint and the colours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from watson.model.foreground import ForegroundSettings, foreground, working_copy

SETTINGS = ForegroundSettings()


def scene(radius: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    """A noisy red disc on noisy green, where it is, and a hint that is too wide by half."""
    rows, columns = np.mgrid[:200, :256]
    distance = np.hypot(rows - 100, columns - 128)
    truth = distance < radius
    colours = np.where(truth[..., None], (190, 60, 50), (60, 150, 70))
    noise = np.random.default_rng(seed).integers(-25, 25, colours.shape)
    hint = np.clip(1 - distance / (2.2 * radius), 0, 1).astype(np.float32)
    return (colours + noise).astype(np.uint8), truth, hint / hint.max()


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("radius", [25, 50, 75])
def test_the_outline_follows_the_colours_and_not_the_hint(radius: int) -> None:
    picture, truth, hint = scene(radius)
    assert overlap(hint > SETTINGS.likely, truth) < 0.97  # else the test would prove nothing
    assert overlap(foreground(picture, hint, SETTINGS), truth) > 0.98


def test_the_outline_depends_on_the_picture_alone() -> None:
    scenes = [scene(radius, radius) for radius in (20, 40, 60)]
    alone = [foreground(picture, hint, SETTINGS) for picture, _, hint in scenes]
    cv2.setRNGSeed(12345)  # whatever ran before in this thread
    backwards = [foreground(picture, hint, SETTINGS) for picture, _, hint in reversed(scenes)][::-1]
    with ThreadPoolExecutor(3) as threads:
        beside = list(threads.map(lambda one: foreground(one[0], one[2], SETTINGS), scenes))
    for one, other, third in zip(alone, backwards, beside, strict=True):
        assert np.array_equal(one, other)
        assert np.array_equal(one, third)


def test_a_hint_that_covers_all_is_taken_as_it_is() -> None:
    picture, _, _ = scene(30)
    assert foreground(picture, np.ones(picture.shape[:2], np.float32), SETTINGS).all()


def test_islands_are_kept_and_specks_are_not() -> None:
    picture = np.full((200, 200, 3), (60, 150, 70), np.uint8)
    hint = np.full((200, 200), 0.2, np.float32)
    for rows, columns in (
        (slice(20, 80), slice(20, 80)),
        (slice(120, 180), slice(120, 180)),
        (slice(100, 103), slice(20, 23)),
    ):
        picture[rows, columns] = (190, 60, 50)
        hint[rows, columns] = 1
    picture = np.clip(picture + np.random.default_rng(0).integers(-9, 9, picture.shape), 0, 255).astype(np.uint8)
    mask = foreground(picture, hint, SETTINGS)
    assert mask[25:75, 25:75].all()
    assert mask[125:175, 125:175].all()
    assert not mask[95:110, 15:30].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 2), (256, 256), (1024, 768)])
def test_the_working_copy_keeps_proportions_and_at_least_a_pixel(shape: tuple[int, int]) -> None:
    copy = working_copy(np.zeros((*shape, 3), np.uint8), 256)
    assert max(copy.shape[:2]) == 256
    assert copy.shape[:2] == tuple(max(1, round(side * 256 / max(shape))) for side in shape)
