from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.errors import UserError
from watson.storage.cursors import Listing, Position, cursor_of, position_of

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
