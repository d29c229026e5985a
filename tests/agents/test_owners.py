import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.fakes import MemoryMarks
from watson.agents import owners
from watson.agents.owners import next_owner, owned_key

MILLISECONDS = st.integers(0, 2**53 - 10**6)


@given(st.lists(MILLISECONDS, min_size=1, max_size=8))
async def test_each_owner_of_a_partition_has_a_greater_number_whatever_its_clock_says(clocks):
    marks = MemoryMarks()
    numbers = [await at(clock, marks) for clock in clocks]
    assert numbers == sorted(set(numbers))
    assert len(marks.parts[3]) == 1


async def at(clock: int, marks: MemoryMarks) -> int:
    real, owners.time_ns = owners.time_ns, lambda: clock * 1_000_000
    try:
        return await next_owner(marks, 3)
    finally:
        owners.time_ns = real


async def test_a_mark_that_an_earlier_owner_wrote_late_takes_no_number_back():
    marks = MemoryMarks()
    await at(500, marks)
    ((late, value),) = marks.items(3)
    after = await at(2000, marks)
    await marks.put(3, late, value)
    assert await at(1000, marks) == after + 1


async def test_two_that_do_not_see_each_others_mark_have_different_numbers():
    assert await at(1000, MemoryMarks()) != await at(1001, MemoryMarks())


async def test_the_number_is_kept_before_it_is_used_and_before_an_earlier_one_is_forgotten():
    class Dies(MemoryMarks):
        async def put(self, partition, key, value):
            if value is None:
                raise ConnectionError("the broker is gone")
            await super().put(partition, key, value)

    before = MemoryMarks()
    first = await at(1000, before)
    marks = Dies(before.parts)
    with pytest.raises(ConnectionError):
        await at(500, marks)
    assert await at(500, MemoryMarks(marks.parts)) == first + 2


@given(MILLISECONDS, MILLISECONDS)
def test_what_a_later_owner_keeps_sorts_after_what_an_earlier_one_does(one, other):
    assert (owned_key("job/a", one) < owned_key("job/a", other)) == (one < other)
