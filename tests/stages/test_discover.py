from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.fakes import discovered
from watson.events import now
from watson.stages.discover import Counts, ImageMark, Part, credit, patience


def ledger(mark: ImageMark) -> tuple[int, int, int, int]:
    c = mark.counts
    return c.listed, c.discovered, c.catalogued, c.quarantined


STEPS = {
    "discovered": lambda mark: mark.on_discovered(discovered(1), 1.0),
    "again": lambda mark: mark.on_discovered(discovered(1), 2.0),
    "repeat": lambda mark: mark.on_discovered(discovered(1, index=9), 2.0),
    "catalogued": lambda mark: mark.on_catalogued(),
    "quarantined": lambda mark: mark.on_quarantined(now()),
}


@pytest.mark.parametrize("order", list(permutations(STEPS)))
def test_whatever_order_the_topics_deliver_in_the_ledger_ends_the_same(order):
    mark = ImageMark()
    for step in order:
        mark = STEPS[step](mark)
    assert ledger(mark) == (2, 1, 1, 0)
    assert not mark.in_flight
    assert mark.event is None


def accuse(mark: ImageMark) -> ImageMark:
    return mark.on_quarantined(now(), "segment: model-failed: no device")


def retry(mark: ImageMark) -> ImageMark:
    return mark.on_retried(3.0, mark.round + 1) if mark.accused and mark.event is not None else mark


ALL_STEPS = STEPS | {"accused": accuse, "retried": retry}


@given(st.lists(st.sampled_from(sorted(ALL_STEPS))))
def test_no_step_ever_shrinks_a_number_that_can_only_grow(steps):
    mark = ImageMark()
    for step in steps:
        after = ALL_STEPS[step](mark)
        assert after.counts.not_before(mark.counts)
        mark = after
        assert mark.counts.ended <= mark.counts.discovered
        assert mark.counts.accused <= mark.counts.quarantined


def test_an_image_that_is_retried_is_in_flight_again_and_its_failure_is_not_forgotten():
    failed = accuse(ImageMark().on_discovered(discovered(), 1.0))
    assert (failed.counts.accused, failed.counts.ended, failed.in_flight) == (1, 1, False)
    flying = retry(failed)
    assert (flying.counts.accused, flying.counts.ended, flying.in_flight) == (0, 0, True)
    assert flying.counts.failures == 1
    assert accuse(flying).counts.failures == 2


@pytest.mark.parametrize("accusation", [None, "segment: model-failed: no device"])
@pytest.mark.parametrize(("seconds", "in_flight"), [(-5, True), (0, True), (5, False)])
def test_only_a_letter_newer_than_the_one_for_which_an_image_is_retried_ends_it_once_more(
    seconds, in_flight, accusation
):
    time = now()
    failed = ImageMark().on_discovered(discovered(), 1.0).on_quarantined(time, "segment: model-failed: no device")
    late = time + timedelta(seconds=seconds)
    assert retry(failed).on_quarantined(late, accusation).in_flight == in_flight


def test_an_accusation_before_the_discovery_keeps_what_is_to_be_sent_again():
    mark = accuse(ImageMark()).on_discovered(discovered(), 1.0)
    assert mark.accused
    assert mark.event == discovered().model_copy(update={"time": mark.event.time})


def test_a_partition_is_newer_by_its_round_and_never_by_an_older_one():
    first = Part(discovered=3, quarantined=2, accused=2, round=1)
    assert Part(discovered=3, retried=2, round=2).newer_than(first)
    assert not first.newer_than(Part(discovered=3, retried=2, round=2))
    assert not first.newer_than(first)


def test_what_a_later_owner_counts_holds_even_where_it_is_less_and_what_an_earlier_one_says_never_does():
    before = Part(discovered=3, catalogued=2, retried=2, round=1, owner=7)
    after = Part(discovered=3, catalogued=1, retried=1, owner=8)
    assert after.newer_than(before)
    assert not before.newer_than(after)
    assert not Part(discovered=4, catalogued=3, retried=3, round=2, owner=7).newer_than(after)


def test_an_image_is_in_flight_from_its_discovery_to_its_end():
    mark = ImageMark().on_discovered(discovered(), 1.0)
    assert mark.in_flight
    assert not mark.on_quarantined(now()).in_flight


def test_an_end_before_the_discovery_counts_once_the_image_is_known():
    mark = ImageMark().on_catalogued()
    assert ledger(mark) == (0, 0, 0, 0)
    assert ledger(mark.on_discovered(discovered(), 1.0)) == (1, 1, 1, 0)


def test_settled_entries_are_ended_images_and_repeated_mentions():
    assert Counts(listed=10, discovered=8, catalogued=3, quarantined=1).settled == 6


def test_a_mark_survives_its_storage():
    mark = ImageMark().on_discovered(discovered(), 1.5).on_redriven(2.5)
    assert ImageMark.from_bytes(mark.to_bytes()) == mark


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
