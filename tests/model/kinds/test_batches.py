"""Pictures of one size go together, and every result comes back to its picture."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from watson.model.kinds.batches import batches, overlapped


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3))), st.booleans())
def test_each_picture_goes_once_and_only_with_its_like(sizes: list[tuple[int, int]], alone: bool) -> None:
    groups = batches(sizes, alone=alone)
    assert sorted(place for group in groups for place in group) == list(range(len(sizes)))
    assert all(len({sizes[place] for place in group}) == 1 for group in groups)
    assert len(groups) == (len(sizes) if alone else len(set(sizes)))


def test_the_next_batch_is_launched_before_the_last_one_is_collected() -> None:
    order: list[str] = []

    def launch(places: list[int]) -> str:
        order.append(f"launch {places}")
        return f"of {places}"

    def collect(places: list[int], launched: str) -> Iterator[tuple[int, str]]:
        order.append(f"collect {launched}")
        yield from ((place, launched) for place in places)

    results = overlapped([[2, 0], [1]], launch, collect)
    assert results == [(0, "of [2, 0]"), (1, "of [1]"), (2, "of [2, 0]")]
    assert order == ["launch [2, 0]", "launch [1]", "collect of [2, 0]", "collect of [1]"]
    assert overlapped([], launch, collect) == []
