"""Cards: what they say makes their version, and nothing can be changed unnoticed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watson.errors import ReasonCode, Refused
from watson.model.cards import ModelCard, card_key

FIELDS: dict[str, Any] = {
    "name": "street",
    "kind": "test-luma",
    "weights_sha256": "a" * 64,
    "weights_size": 12,
    "categories": ("car", "bus"),
    "configuration": {"category": "car", "nested": {"a": [1, 2.5, None]}},
}
CARD = ModelCard(**FIELDS)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"weights_sha256": "b" * 64},
        {"categories": ("bus", "car")},
        {"configuration": {"category": "car", "nested": {"a": [1, 2.5, 0]}}},
    ],
)
def test_whatever_decides_the_result_makes_another_version(change: dict[str, Any]) -> None:
    assert ModelCard(**(FIELDS | change)).version != CARD.version


@pytest.mark.parametrize("change", [{"name": "road"}, {"weights_size": 13}])
def test_what_does_not_decide_the_result_does_not(change: dict[str, Any]) -> None:
    assert ModelCard(**(FIELDS | change)).version == CARD.version


def test_the_order_of_a_configurations_keys_is_no_difference() -> None:
    configuration = dict(reversed(list(CARD.configuration.items())))
    assert ModelCard(**(FIELDS | {"configuration": configuration})).version == CARD.version


def test_a_card_comes_back_from_its_bytes() -> None:
    assert ModelCard.from_bytes(CARD.to_bytes(), CARD.reference) == CARD


@pytest.mark.parametrize(
    "change", [{"configuration": {}}, {"name": "road"}, {"kind": "other"}, {"unknown": 1}, {"categories": []}]
)
def test_a_card_that_was_altered_is_refused(change: dict[str, Any]) -> None:
    data = json.dumps(json.loads(CARD.to_bytes()) | change).encode()
    with pytest.raises(Refused, match=card_key(CARD.reference)) as refused:
        ModelCard.from_bytes(data, CARD.reference)
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


def test_the_event_says_what_the_card_says() -> None:
    event = CARD.registered(licence="MIT", metrics={"mean_iou": 0.5})
    assert event.key == CARD.reference
    assert (event.configuration, event.categories, event.weights_size) == (CARD.configuration, CARD.categories, 12)
    assert (event.licence, event.metrics) == ("MIT", {"mean_iou": 0.5})
