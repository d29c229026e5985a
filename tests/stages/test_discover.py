from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.fakes import discovered
from watson.stages.discover import Counts, ImageMark, credit, patience


def ledger(mark: ImageMark) -> tuple[int, int, int, int]:
    c = mark.counts
    return c.listed, c.discovered, c.catalogued, c.quarantined


STEPS = {
    "discovered": lambda mark: mark.on_discovered(discovered(1), 1.0),
    "again": lambda mark: mark.on_discovered(discovered(1), 2.0),
    "repeat": lambda mark: mark.on_discovered(discovered(1, index=9), 2.0),
    "catalogued": lambda mark: mark.on_end("catalogued"),
    "quarantined": lambda mark: mark.on_end("quarantined"),
}


@pytest.mark.parametrize("order", list(permutations(STEPS)))
def test_whatever_order_the_topics_deliver_in_the_ledger_ends_the_same(order):
    mark = ImageMark()
    for step in order:
        mark = STEPS[step](mark)
    assert ledger(mark) == (2, 1, 1, 0)
    assert not mark.in_flight
    assert mark.event is None


@given(st.lists(st.sampled_from(sorted(STEPS))))
def test_no_step_ever_shrinks_a_number_that_can_only_grow(steps):
    mark = ImageMark()
    for step in steps:
        after = STEPS[step](mark)
        assert after.counts.not_before(mark.counts)
        mark = after
        assert mark.counts.ended <= mark.counts.discovered


def test_an_image_is_in_flight_from_its_discovery_to_its_end():
    mark = ImageMark().on_discovered(discovered(), 1.0)
    assert mark.in_flight
    assert not mark.on_end("quarantined").in_flight


def test_an_end_before_the_discovery_counts_once_the_image_is_known():
    mark = ImageMark().on_end("catalogued")
    assert ledger(mark) == (0, 0, 0, 0)
    assert ledger(mark.on_discovered(discovered(), 1.0)) == (1, 1, 1, 0)


def test_settled_entries_are_ended_images_and_repeated_mentions():
    assert Counts(listed=10, discovered=8, catalogued=3, quarantined=1).settled == 6


def test_a_mark_survives_its_storage():
    mark = ImageMark().on_discovered(discovered(), 1.5).on_redriven(2.5)
    assert ImageMark.model_validate_json(mark.model_dump_json(exclude_defaults=True)) == mark


def test_credit_follows_the_pace_within_its_bounds_and_the_weight():
    bounds = {"least": 64, "most": 4096, "seconds": 10.0}
    assert credit(0.0, 1.0, **bounds) == 64
    assert credit(100.0, 1.0, **bounds) == 1000
    assert credit(10_000.0, 1.0, **bounds) == 4096
    assert credit(100.0, 0.5, **bounds) == 500
    assert credit(0.0, 0.001, **bounds) == 1


def test_patience_doubles_with_each_redrive_and_grows_with_what_is_typical():
    assert patience(0, 1.0, least=60.0) == 60.0
    assert patience(2, 1.0, least=60.0) == 240.0
    assert patience(0, 100.0, least=60.0) == 800.0
