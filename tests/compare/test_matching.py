from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watson.compare.matching import Kind, Pair, match, quality

NAMES = st.lists(st.sampled_from(["cat", "Cat", "dog", "bird"]), max_size=5)
OVERLAPS = st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 1.0])  # few values: ties are what is hard


@st.composite
def cases(draw):
    before, after = draw(NAMES), draw(NAMES)
    values = draw(st.lists(OVERLAPS, min_size=len(before) * len(after), max_size=len(before) * len(after)))
    return before, after, np.array(values, dtype=np.float64).reshape(len(before), len(after))


@given(cases())
@settings(deadline=None)
def test_every_mask_is_in_one_pair_and_the_pairs_are_what_they_say(case):
    before, after, ious = case
    pairs = match(before, after, ious)
    assert sorted(pair.before for pair in pairs if pair.before is not None) == list(range(len(before)))
    assert sorted(pair.after for pair in pairs if pair.after is not None) == list(range(len(after)))
    for pair in pairs:
        match pair.kind:
            case Kind.GAINED:
                assert pair.before is None
            case Kind.LOST:
                assert pair.after is None
            case kind:
                same = before[pair.before].casefold() == after[pair.after].casefold()
                assert pair.iou == ious[pair.before, pair.after] >= 0.5
                assert same is (kind is not Kind.CATEGORY)
                assert (kind is Kind.UNCHANGED) is (same and pair.iou >= 0.9)


@given(cases())
@settings(deadline=None)
def test_turned_round_gained_is_lost_and_all_else_is_the_same(case):
    before, after, ious = case
    turned = {Kind.GAINED: Kind.LOST, Kind.LOST: Kind.GAINED}
    there = {(pair.kind, pair.before, pair.after, pair.iou) for pair in match(before, after, ious)}
    back = {
        (turned.get(pair.kind, pair.kind), pair.after, pair.before, pair.iou) for pair in match(after, before, ious.T)
    }
    assert there == back


@given(cases())
@settings(deadline=None)
def test_nothing_is_both_lost_and_gained_that_overlaps_enough(case):
    before, after, ious = case
    pairs = match(before, after, ious)
    lost = [pair.before for pair in pairs if pair.kind is Kind.LOST]
    gained = [pair.after for pair in pairs if pair.kind is Kind.GAINED]
    assert all(ious[i, j] < 0.5 for i in lost for j in gained)


@given(cases())
@settings(deadline=None)
def test_quality_is_a_fraction_and_one_only_where_all_is_the_same(case):
    before, after, ious = case
    pairs = match(before, after, ious)
    assert 0 <= quality(pairs) <= 1
    whole = all(pair.kind is Kind.UNCHANGED and pair.iou == 1 for pair in pairs)
    assert (quality(pairs) == 1) is whole


def test_a_mask_keeps_its_partner_of_the_same_name_though_another_overlaps_more():
    pairs = match(["cat"], ["dog", "cat"], np.array([[0.97, 0.6]]))
    assert Counter(pair.kind for pair in pairs) == {Kind.SHAPE: 1, Kind.GAINED: 1}
    assert pairs[0].after == 1


def test_of_several_the_best_overlap_wins():
    pairs = match(["cat", "cat"], ["cat"], np.array([[0.6], [0.95]]))
    assert pairs == [Pair(Kind.UNCHANGED, 1, 0, 0.95), Pair(Kind.LOST, 0, None)]


@pytest.mark.parametrize(
    ("iou", "kind"),
    [(1.0, Kind.UNCHANGED), (0.9, Kind.UNCHANGED), (0.89, Kind.SHAPE), (0.5, Kind.SHAPE), (0.49, Kind.LOST)],
)
def test_the_thresholds_are_inclusive(iou, kind):
    assert match(["cat"], ["cat"], np.array([[iou]]))[0].kind is kind


def test_quality_is_kirillovs_formula():
    pairs = match(["a", "b", "c"], ["a", "x", "d"], np.array([[0.8, 0, 0], [0, 0.9, 0], [0, 0, 0.2]]))
    # one true positive of IoU 0.8; b became x, c is lost, d is gained: two false positives, two false negatives
    assert quality(pairs) == pytest.approx(0.8 / (1 + 2 / 2 + 2 / 2))
