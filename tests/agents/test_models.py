"""What a model's name means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from watson.agents.models import ModelResolver, built_in_models, choose, standing
from watson.errors import ReasonCode, Refused
from watson.events import DEFAULT_MODEL, ModelRegistered, ModelWithdrawn
from watson.settings import Settings

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def _registered(name: str, version: str, minute: int = 0) -> ModelRegistered:
    return ModelRegistered(
        time=NOON + timedelta(minutes=minute),
        name=name,
        model_version=version,
        model_kind="k",
        weights_sha256="0" * 64,
        categories=("cat",),
    )


def _withdrawn(name: str, version: str, minute: int) -> ModelWithdrawn:
    return ModelWithdrawn(time=NOON + timedelta(minutes=minute), name=name, model_version=version)


def test_of_a_models_events_the_newest_counts_in_whatever_order_they_come() -> None:
    first, last = _registered("a", "1"), _registered("a", "1", 2)
    for order in permutations([first, _withdrawn("a", "1", 1), last]):
        assert standing(order) == {"a@1": last}
    for order in permutations([first, _withdrawn("a", "1", 3), last]):
        assert standing(order) == {}


def test_a_name_means_its_newest_version_and_a_reference_itself() -> None:
    models = standing([_registered("a", "1", 5), _registered("a", "2", 3), _registered("b", "1")])
    assert choose("a", models).key == "a@1"
    assert choose("a@2", models).key == "a@2"


def test_an_unknown_name_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(Refused, match=rf"Known: {DEFAULT_MODEL}, a\. `watson models add`") as refused:
        choose("c", standing([_registered("a", "1")]))
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


def test_an_unknown_version_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(Refused, match="Known: a@1, a@2"):
        choose("a@3", standing([_registered("a", "1"), _registered("a", "2"), _registered("b", "1")]))


async def test_a_model_that_watson_brings_is_resolved_without_a_broker_and_announced(tmp_path) -> None:
    resolver = ModelResolver(Settings(brokers="127.0.0.1:1", objects=f"file:{tmp_path}"))
    found = await resolver(DEFAULT_MODEL)
    assert found.announce is not None
    assert found.announce.key == found.reference
    assert (await resolver(found.reference)).reference == found.reference


def test_stand_ins_are_not_among_the_models_that_people_are_told_of() -> None:
    assert [model.name for model in built_in_models()] == [DEFAULT_MODEL]
