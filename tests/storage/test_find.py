"""Finding images by what their masks are like, and in the order of their uncertainty: alike on SQLite and Cassandra."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.events import at, catalogued, found
from watson.errors import UserError
from watson.events import ImageCatalogued
from watson.settings import Settings
from watson.storage import cassandra_find, sqlite_find
from watson.storage.catalogue import Catalogue, Found
from watson.storage.connect_catalogue import catalogue
from watson.storage.uncertainty import doubt
from watson.storage.wanted import Order, Wanted

ASKED = (
    Wanted(),
    Wanted(nothing=True),
    Wanted(categories=("cat",)),
    Wanted(categories=("rare", "cat", "cat")),
    Wanted(categories=("rare",), least_score=0.3),
    Wanted(categories=("unknown",)),
    Wanted(least_score=0.8),
    Wanted(most_score=0.2, most_area=0.5),
    Wanted(least_area=0.9, most_area=1.0),
    Wanted(categories=("dog", "cat"), least_score=0.25, most_score=0.75, least_area=0.25, most_area=0.75),
)


def some(job: str, number: int, seed: int = 1) -> list[ImageCatalogued]:
    """Images with no to four masks; scores and areas hit the bounds that are asked for, and repeat."""
    chance = random.Random(seed)
    fractions = (0, 0.05, 0.2, 0.25, 0.3, 0.5, 0.75, 0.8, 0.9, 1)
    return [
        found(
            job,
            f"{place}",
            *(
                (chance.choice(("cat", "dog", "cow")), chance.choice(fractions), round(200 * chance.choice(fractions)))
                for _ in range(chance.choice((0, 0, 1, 2, 4)))
            ),
            *((("rare", 0.4, 7),) if place % 20 == 3 else ()),
            rejected=chance.choice((0, 2)),
        )
        for place in range(number)
    ]


def expected(events: Sequence[ImageCatalogued], wanted: Wanted, order: Order) -> list[ImageCatalogued]:
    admitted = [event for event in events if wanted.admits(event)]
    if order is Order.KEY:
        return sorted(admitted, key=lambda event: event.image_key.bytes)
    return sorted(admitted, key=lambda event: (doubt(event).value, event.image_key.bytes), reverse=True)


async def pages(store: Catalogue, job: str, wanted: Wanted, order: Order, limit: int) -> list[Found]:
    read: list[Found] = []
    cursor = None
    for _ in range(1000):
        read.append(await store.find(job, wanted, order=order, after=cursor, limit=limit))
        cursor = read[-1].cursor
        if cursor is None:
            return read
    raise AssertionError("the pages do not end")


async def whole(store: Catalogue, job: str, wanted: Wanted, order: Order, limit: int = 50) -> list[ImageCatalogued]:
    return [event for page in await pages(store, job, wanted, order, limit) for event in page.items]


@pytest.mark.parametrize("limit", [4, 100])
@pytest.mark.parametrize("order", list(Order))
async def test_what_is_wanted_is_found_in_its_order_page_by_page(
    store: Catalogue, job: str, order: Order, limit: int
) -> None:
    events = some(job, 60)
    await asyncio.gather(*map(store.put_image, [*events, *some(f"{job}-2", 10, seed=2)]))
    for wanted in ASKED:
        read = await pages(store, job, wanted, order, limit)
        right = expected(events, wanted, order)
        assert [event for page in read for event in page.items] == right, wanted
        assert [len(page.items) for page in read[:-1]] == [limit] * (len(read) - 1), "no page is short"
        assert not any(page.searched for page in read)
    assert expected(events, ASKED[-1], order), "the last question has answers"


@pytest.mark.parametrize("order", list(Order))
async def test_an_answer_that_has_looked_far_enough_is_short_and_says_so_and_the_next_one_goes_on(
    store: Catalogue, job: str, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sqlite_find, cassandra_find):
        for name in ("_IMAGES_WALKED", "_MASKS_WALKED", "_RANKS_WALKED"):
            monkeypatch.setattr(module, name, 12)
        monkeypatch.setattr(module, "_FEW_MASKS", 0)
    monkeypatch.setattr(sqlite_find, "_EMPTY_WALKED", 12)
    monkeypatch.setattr(cassandra_find, "_LEAST_BATCH", 5)
    events = some(job, 60)
    await asyncio.gather(*map(store.put_image, events))
    stopped = 0
    for wanted in ASKED:
        read = await pages(store, job, wanted, order, 3)
        assert [event for page in read for event in page.items] == expected(events, wanted, order), wanted
        assert all(page.searched is None or len(page.items) <= 3 for page in read)
        assert all(len(page.items) == 3 or page.searched or page.cursor is None for page in read)
        stopped += sum(page.searched is not None for page in read)
        assert not any(page.searched for page in read) or not wanted.anything
    assert stopped > 5


async def test_many_images_of_one_uncertainty_are_paged_without_loss_or_repetition(store: Catalogue, job: str) -> None:
    events = [found(job, f"{number}") for number in range(90)] + [found(job, "sure", ("cat", 1.0, 5))]
    await asyncio.gather(*map(store.put_image, events))
    read = await whole(store, job, Wanted(), Order.UNCERTAINTY, limit=7)
    assert read == expected(events, Wanted(), Order.UNCERTAINTY)
    assert (read[0].masks, read[-1].original.uri) == ((), "file:///sure")


@pytest.mark.parametrize("newer_first", [False, True])
async def test_an_image_that_was_catalogued_again_stands_where_it_belongs_now_alone(
    store: Catalogue, job: str, newer_first: bool
) -> None:
    other = found(job, "other", ("cat", 0.5, 5))
    doubtful, sure = found(job, "x", ("cat", 0.1, 5), time=at(0)), found(job, "x", ("dog", 0.95, 100), time=at(1))
    for event in (sure, doubtful, other) if newer_first else (doubtful, sure, other):
        await store.put_image(event)
    assert await whole(store, job, Wanted(), Order.UNCERTAINTY) == [other, sure]
    assert await whole(store, job, Wanted(most_score=0.2), Order.KEY) == []
    assert await whole(store, job, Wanted(categories=("dog",), least_area=0.5), Order.UNCERTAINTY) == [sure]


async def test_an_image_that_a_repair_wrote_again_keeps_its_place_and_gives_way_to_a_newer_one(
    store: Catalogue, job: str
) -> None:
    old, new = found(job, "x", ("cat", 0.1, 5), time=at(0)), found(job, "x", ("cat", 0.8, 5), time=at(1))
    await store.put_image(old)
    await store.put_image(old, at=at(1000))
    assert await whole(store, job, Wanted(), Order.UNCERTAINTY) == [old]
    await store.put_image(new)
    await store.put_image(old, at=at(2000))
    assert await whole(store, job, Wanted(), Order.UNCERTAINTY) == [new]


REVISIONS = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 2),  # microseconds
    st.lists(
        st.tuples(st.sampled_from(["cat", "dog"]), st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 200)), max_size=3
    ),
)


@given(st.lists(REVISIONS, min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_replay_in_any_order_ends_in_the_same_places(
    place: Settings, revisions: list[tuple[str, int, list[tuple[str, float, int]]]], chance: random.Random
) -> None:
    async def replay() -> None:
        store = catalogue(place)
        await store.open()
        try:
            ends = [await ending(store, order) for order in (revisions, mixed)]
        finally:
            await store.close()
        assert ends[0] == ends[1]

    async def ending(store: Catalogue, order: Sequence[tuple[str, int, list[tuple[str, float, int]]]]) -> list[object]:
        job = f"job-{uuid.uuid4().hex[:12]}"
        events = [found(job, name, *masks, time=at(time)) for name, time, masks in order]
        for event in events:
            await store.put_image(event)
        kept = await whole(store, job, Wanted(), Order.KEY)
        assert await whole(store, job, Wanted(), Order.UNCERTAINTY) == expected(kept, Wanted(), Order.UNCERTAINTY)
        assert {event.image_key for event in kept} == {event.image_key for event in events}
        assert all(event.time == max(one.time for one in events if one.image_key == event.image_key) for event in kept)
        return [event.time for event in kept]

    mixed = [*revisions, *revisions]
    chance.shuffle(mixed)
    asyncio.run(replay())


async def test_writes_at_the_same_time_leave_one_place_for_each_image(store: Catalogue, job: str) -> None:
    events = [
        found(job, f"{name}", ("cat", score / 10, 5), time=at(score), model=f"m@{score}")
        for name in range(5)
        for score in range(6)
    ]
    random.Random(3).shuffle(events)
    await asyncio.gather(*map(store.put_image, events))
    read = await whole(store, job, Wanted(), Order.UNCERTAINTY, limit=2)
    assert [event.masks[0].score for event in read] == [0.5] * 5
    assert await whole(store, job, Wanted(most_score=0.45), Order.KEY) == []


async def test_a_cursor_of_one_question_serves_another_of_the_same_order(store: Catalogue, job: str) -> None:
    events = some(job, 40)
    await asyncio.gather(*map(store.put_image, events))
    for order in Order:
        cursor = (await store.find(job, Wanted(categories=("cat",)), order=order, limit=2)).cursor
        assert cursor is not None
        rest = await store.find(job, Wanted(), order=order, after=cursor, limit=100)
        everything = expected(events, Wanted(), order)
        last = expected(events, Wanted(categories=("cat",)), order)[1]
        assert list(rest.items) == everything[everything.index(last) + 1 :]


async def test_a_cursor_of_the_other_order_or_of_nothing_is_the_users_mistake(store: Catalogue, job: str) -> None:
    await asyncio.gather(*map(store.put_image, some(job, 5)))
    for order, other in ((Order.KEY, Order.UNCERTAINTY), (Order.UNCERTAINTY, Order.KEY)):
        cursor = (await store.find(job, Wanted(), order=order, limit=1)).cursor
        for wrong in (cursor, "", "é", "A" * 36, "A" * 5000):
            with pytest.raises(UserError, match="not a cursor of images"):
                await store.find(job, Wanted(), order=other, after=wrong)


async def test_a_page_of_no_rows_or_of_too_many_is_refused(store: Catalogue, job: str) -> None:
    for limit in (0, 10_001):
        with pytest.raises(UserError, match="limit"):
            await store.find(job, Wanted(), limit=limit)


async def test_an_unknown_job_has_nothing_to_find(store: Catalogue, job: str) -> None:
    for wanted in ASKED:
        for order in Order:
            assert await store.find(job, wanted, order=order) == Found(items=())


async def test_a_wiped_catalogue_finds_nothing(store: Catalogue, job: str) -> None:
    await store.put_image(catalogued(job, "x"))
    await store.wipe()
    for order in Order:
        assert await store.find(job, Wanted(), order=order) == Found(items=())
