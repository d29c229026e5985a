"""Which class a thing is, and where it is, from features made by hand: no network, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from watson.model import efficientnet_cam
from watson.model.efficientnet_cam import Configuration, EfficientNetCam

SMALL = np.zeros((80, 80, 3), np.uint8)


@dataclass(frozen=True)
class View:
    features: NDArray[np.float32]
    logits: NDArray[np.float32]


class Network:
    """Three classes, each of which sees one feature."""

    class_weights = np.eye(3, dtype=np.float32)
    class_biases = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def model() -> EfficientNetCam:
    configuration = Configuration(names=3)
    return EfficientNetCam(Network(), efficientnet_cam.info(configuration), configuration, threads=1)


def view(*places: tuple[slice, slice], logits: tuple[float, ...]) -> View:
    """Each feature is 1 in its place on a grid of 8 × 8."""
    features = np.zeros((len(places), 8, 8), np.float32)
    for feature, place in zip(features, places, strict=True):
        feature[place] = 1
    return View(features, np.array(logits, np.float32))


TOP = (slice(0, 4), slice(0, 4))
BOTTOM = (slice(4, 8), slice(0, 4))
ELSEWHERE = (slice(4, 8), slice(4, 8))


def test_what_unlikely_classes_see_is_added_to_where_the_best_is(model: EfficientNetCam) -> None:
    seen = dict(model._seen([view(TOP, BOTTOM, ELSEWHERE, logits=(0, 0, 0))], np.array([0.9, 0.05, 0.0]), SMALL))
    assert list(seen) == [0]
    assert seen[0].max() == 1
    assert seen[0][50:70, 10:30].mean() == pytest.approx(0.05 / 0.9, abs=0.02)
    assert seen[0][50:70, 50:70].max() < 0.01


def test_a_likely_class_that_is_seen_elsewhere_is_a_thing_of_its_own(model: EfficientNetCam) -> None:
    seen = dict(model._seen([view(TOP, BOTTOM, ELSEWHERE, logits=(0, 0, 0))], np.array([0.6, 0.03, 0.37]), SMALL))
    assert list(seen) == [0, 2]
    assert seen[0][50:70, 50:70].max() < 0.01
    assert seen[2][50:70, 50:70].min() > 0.75


def test_a_likely_class_that_is_seen_in_the_same_place_is_another_name(model: EfficientNetCam) -> None:
    wide = (slice(0, 8), slice(0, 4))
    seen = dict(model._seen([view(TOP, wide, ELSEWHERE, logits=(0, 0, 0))], np.array([0.55, 0.44, 0.01]), SMALL))
    assert seen[0][50:70, 10:30].mean() == pytest.approx(0.4, abs=0.05)  # 0.44, less the overshoot of the cubic


def test_the_look_at_a_region_names_what_its_surroundings_drown(model: EfficientNetCam) -> None:
    """Of two classes as likely at a glance, one is seen strongly in a small place, the other faintly all over."""
    features = np.zeros((3, 8, 8), np.float32)
    features[0, 2:4, 2:4] = 16
    features[1] = 1
    logits = features.mean(axis=(1, 2))
    assert logits[0] == logits[1]
    scores = model._scores([View(features, logits)])
    assert scores.sum() == pytest.approx(1)
    assert scores[0] > 0.7


def test_where_nothing_is_seen_the_glance_decides(model: EfficientNetCam) -> None:
    scores = model._scores([View(np.zeros((3, 8, 8), np.float32), np.array([1, 0, 0], np.float32))])
    assert np.isfinite(scores).all()
    assert scores.argmax() == 0
