from __future__ import annotations

from base64 import urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.errors import UserError
from watson.storage.cursors import Listing, Position, Rank, cursor_of, position_of, rank_cursor, rank_of

POSITIONS = st.builds(Position, st.uuids(), st.integers(0, 2**31 - 1))


@given(st.sampled_from(Listing), POSITIONS)
def test_a_cursor_names_its_position(listing: Listing, position: Position) -> None:
    cursor = cursor_of(listing, position)
    assert position_of(listing, cursor) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()  # goes through a URL as it is


@given(st.sampled_from(Listing), st.text())
def test_any_other_text_is_refused_or_names_a_position(listing: Listing, text: str) -> None:
    try:
        position = position_of(listing, text)
    except UserError:
        return
    assert position is not None
    assert cursor_of(listing, position) == text


def test_a_cursor_of_another_listing_is_refused() -> None:
    with pytest.raises(UserError, match="not a cursor of masks"):
        position_of(Listing.MASKS, cursor_of(Listing.IMAGES, Position(UUID(int=1))))


def test_no_cursor_is_the_beginning() -> None:
    assert position_of(Listing.IMAGES, None) is None


@given(st.floats(0, 1), st.uuids())
def test_a_cursor_by_uncertainty_names_its_place_exactly(uncertainty: float, key: UUID) -> None:
    cursor = rank_cursor(Rank(uncertainty, key))
    assert rank_of(cursor) == Rank(uncertainty, key)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    for listing in Listing:
        with pytest.raises(UserError, match="not a cursor of"):
            position_of(listing, cursor)


@given(st.one_of(st.text(), st.binary(min_size=27, max_size=27).map(lambda raw: urlsafe_b64encode(raw).decode())))
def test_any_other_text_is_no_cursor_by_uncertainty_or_names_a_place(text: str) -> None:
    try:
        rank = rank_of(text)
    except UserError:
        return
    assert rank is not None
    assert rank_cursor(rank) == text


@pytest.mark.parametrize("uncertainty", [float("nan"), float("inf"), -0.5, 1.5])
def test_an_uncertainty_that_cannot_be_is_refused(uncertainty: float) -> None:
    with pytest.raises(UserError, match="not a cursor of images by uncertainty"):
        rank_of(rank_cursor(Rank(uncertainty, UUID(int=1))))


def test_no_cursor_by_uncertainty_is_the_beginning() -> None:
    assert rank_of(None) is None
