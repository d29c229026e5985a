from __future__ import annotations

import pytest

from tests.events.examples import EXAMPLES
from watson.events import CHAIN, EVENT_TYPES, TOPICS, ImageEvent


def test_each_event_stands_in_the_topic_that_it_names() -> None:
    for (topic, kind), event in EVENT_TYPES.items():
        assert (event.topic, event.kind) == (topic, kind)


def test_kinds_are_unique_and_each_has_an_example() -> None:
    kinds = [kind for _, kind in EVENT_TYPES]
    assert len(set(kinds)) == len(kinds)
    assert set(EXAMPLES) == set(kinds)


@pytest.mark.parametrize(
    ("topic", "kinds", "cleanup"),
    [
        ("manifests", ["manifest-submitted", "job-cancelled", "job-paused", "job-resumed"], "delete"),
        ("jobs", ["job-changed", "partition-progressed", "retry-requested"], "delete"),
        ("image-discovered", ["image-discovered"], "delete"),
        ("preprocessed", ["image-preprocessed"], "delete"),
        ("segmented", ["image-segmented"], "delete"),
        ("catalogued", ["image-catalogued"], "delete"),
        ("dead-letters", ["image-quarantined"], "delete"),
        ("models", ["model-registered", "model-withdrawn", "model-evaluated"], "compact"),
        ("trainings", ["training-requested", "training-ended"], "delete"),
    ],
)
def test_the_topic_table_is_as_designed(topic: str, kinds: list[str], cleanup: str) -> None:
    spec = TOPICS[topic]
    assert [event.kind for event in spec.events] == kinds
    assert spec.config["cleanup.policy"] == cleanup
    assert (spec.config["retention.ms"], spec.config["retention.bytes"]) == ("-1", "-1")


def test_there_are_no_other_topics() -> None:
    assert len(TOPICS) == 9


def test_the_chain_carries_image_events_alone_and_in_order() -> None:
    assert CHAIN == ("image-discovered", "preprocessed", "segmented", "catalogued")
    assert all(issubclass(TOPICS[topic].events[0], ImageEvent) for topic in CHAIN)
