"""What every catalogue does alike: one suite, run on SQLite and on a real Cassandra."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta, timezone
from functools import partial
from typing import Any

import pytest

from tests.storage.events import NOON, at, catalogued, changed, evaluated, quarantined, registered, withdrawn
from watson.errors import ReasonCode, UserError
from watson.events import image_key
from watson.settings import Settings
from watson.storage.catalogue import Catalogue, Page, StageCount
from watson.storage.connect_catalogue import catalogue

ODD_NAMES = (
    "o'brien",
    'say "cheese"',
    "a; DROP TABLE masks; --",
    "Škoda 車 🚗",
    "back\\slash",
    "per%cent_",
    "",
    " ",
    "new\nline",
    "\x00",
)


async def _all(read: Callable[[str | None], Awaitable[Page[Any]]]) -> list[Any]:
    items, cursor = [], None
    for _ in range(1000):
        page = await read(cursor)
        items.extend(page.items)
        cursor = page.cursor
        if cursor is None:
            return items
    raise AssertionError("the pages do not end")


async def _rows(store: Catalogue, job: str) -> dict[str, Any]:
    """Everything that the catalogue says about a job."""
    categories = await store.categories(job)
    return {
        "job": await store.job(job),
        "images": await _all(lambda after: store.images(job, after=after, limit=7)),
        "masks": {
            name: await _all(lambda after, name=name: store.masks(job, name, after=after, limit=3))
            for name in categories
        },
        "categories": categories,
        "letters": await _all(lambda after: store.dead_letters(job, after=after, limit=2)),
    }


# ---------------------------------------------------------------------- jobs
async def test_a_job_comes_back_as_it_was_put_with_its_submission_to_the_microsecond(
    store: Catalogue, job: str
) -> None:
    event = changed(job, time=NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), message='it\'s "so"\n✓')
    await store.put_job(event)
    await store.put_submitted(job, at(-1))
    row = await store.job(job)
    assert row is not None
    assert row.job == event
    assert row.submitted_at == at(-1)
    assert row.counts == {"discovered": 0, "preprocessed": 0, "segmented": 0, "catalogued": 0, "quarantined": 0}


async def test_a_job_whose_submission_is_not_known_yet_has_the_time_of_its_event(store: Catalogue, job: str) -> None:
    await store.put_job(changed(job))
    row = await store.job(job)
    assert row is not None
    assert row.submitted_at == NOON


async def test_a_job_of_which_only_the_submission_is_known_is_not_listed_yet(store: Catalogue, job: str) -> None:
    await store.put_submitted(job, NOON)
    assert await store.job(job) is None
    assert job not in {row.job.job for row in await store.jobs()}


async def test_jobs_are_listed_newest_submission_first(store: Catalogue, job: str) -> None:
    for number in (2, 0, 3, 1):
        await store.put_job(changed(f"{job}-{number}", time=at(-number)))
        await store.put_submitted(f"{job}-{number}", at(number))
    mine = [row.job.job for row in await store.jobs() if row.job.job.startswith(job)]
    assert mine == [f"{job}-{number}" for number in (3, 2, 1, 0)]


async def test_an_older_state_of_a_job_never_overwrites_a_newer_one(store: Catalogue, job: str) -> None:
    await store.put_job(changed(job, state="complete", listed=9, time=at(1)))
    await store.put_job(changed(job, state="listing", listed=3, time=at(0)))
    await store.put_submitted(job, at(5))
    await store.put_submitted(job, at(4))
    row = await store.job(job)
    assert row is not None
    assert (row.job.state, row.job.listed, row.submitted_at) == ("complete", 9, at(5))


async def test_an_unknown_job_has_nothing(store: Catalogue, job: str) -> None:
    assert await _rows(store, job) == {"job": None, "images": [], "masks": {}, "categories": {}, "letters": []}
    assert await store.image(job, image_key("nowhere")) is None
    assert await store.masks(job, "cat") == Page(items=())


# ---------------------------------------------------------------------- counts
async def test_counts_are_summed_over_partitions_and_repeats_change_nothing(store: Catalogue, job: str) -> None:
    await store.put_job(changed(job))
    for _ in range(2):
        for partition in range(3):
            count = StageCount(job=job, stage="discovered", partition=partition, count=10 + partition, time=NOON)
            await store.put_count(count)
    row = await store.job(job)
    assert row is not None
    assert row.counts["discovered"] == 33
    (listed,) = [row for row in await store.jobs() if row.job.job == job]
    assert listed == row


@pytest.mark.parametrize("reverse", [False, True])
async def test_of_two_counts_with_the_same_time_the_greater_stays(store: Catalogue, job: str, reverse: bool) -> None:
    await store.put_job(changed(job))
    counts = [255, 256, 65_535, 1_000_000]
    for number in reversed(counts) if reverse else counts:
        await store.put_count(StageCount(job=job, stage="segmented", partition=0, count=number, time=NOON))
    row = await store.job(job)
    assert row is not None
    assert row.counts["segmented"] == 1_000_000


async def test_a_later_smaller_count_replaces_a_greater_one(store: Catalogue, job: str) -> None:
    await store.put_job(changed(job))
    for number, time in ((7, at(0)), (6, at(1)), (9, at(0))):
        await store.put_count(StageCount(job=job, stage="quarantined", partition=0, count=number, time=time))
    row = await store.job(job)
    assert row is not None
    assert row.counts["quarantined"] == 6


# ---------------------------------------------------------------------- images and masks
async def test_an_image_comes_back_as_it_was_put(store: Catalogue, job: str) -> None:
    event = catalogued(job, "a.jpg", ("cat", "dog"))
    await store.put_image(event)
    assert await store.image(job, event.image_key) == event
    assert (await store.images(job)).items == (event,)
    (row,) = (await store.masks(job, "dog")).items
    assert (row.job, row.image_key, row.mask) == (job, event.image_key, event.masks[1])


async def test_an_image_without_masks_is_an_image(store: Catalogue, job: str) -> None:
    await store.put_image(catalogued(job, "plain.jpg", ()))
    assert len((await store.images(job)).items) == 1
    assert await store.categories(job) == {}


async def test_odd_names_of_categories_are_told_apart(store: Catalogue, job: str) -> None:
    await store.put_image(catalogued(job, "odd.jpg", ODD_NAMES))
    assert await store.categories(job) == dict.fromkeys(ODD_NAMES, 1)
    for name in ODD_NAMES:
        assert [row.mask.category for row in (await store.masks(job, name)).items] == [name]


async def test_jobs_over_one_source_keep_their_images_apart(store: Catalogue, job: str) -> None:
    await store.put_image(catalogued(job, "same.jpg", ("cat",)))
    await store.put_image(catalogued(f"{job}-2", "same.jpg", ("cat", "cat")))
    assert await store.categories(job) == {"cat": 1}
    assert await store.categories(f"{job}-2") == {"cat": 2}


@pytest.mark.parametrize("newer_first", [False, True])
@pytest.mark.parametrize("gap", [0, 1])
async def test_masks_of_an_image_that_was_catalogued_again_do_not_survive(
    store: Catalogue, job: str, newer_first: bool, gap: int
) -> None:
    events = [
        catalogued(job, "again.jpg", ("cat", "dog", "old"), time=at(0), model="m@1"),
        catalogued(job, "again.jpg", ("dog", "cat"), time=at(gap), model="m@2"),
    ]
    for event in reversed(events) if newer_first else events:
        await store.put_image(event)
    stored = await store.image(job, events[0].image_key)
    assert stored in events
    if gap:
        assert stored == events[1]
    assert (await store.images(job)).items == (stored,)
    assert await store.categories(job) == {mask.category: 1 for mask in stored.masks}
    for mask in stored.masks:
        assert [row.mask for row in (await store.masks(job, mask.category)).items] == [mask]


async def test_the_same_segmentation_with_fewer_masks_keeps_the_masks_that_are_left(store: Catalogue, job: str) -> None:
    for event in (catalogued(job, "x", ("cat", "dog"), time=at(0)), catalogued(job, "x", ("cat",), time=at(1))):
        await store.put_image(event)
    assert await store.categories(job) == {"cat": 1}
    for event in (catalogued(job, "y", ("cat",), time=at(1)), catalogued(job, "y", ("cat", "dog"), time=at(0))):
        await store.put_image(event)
    assert await store.categories(job) == {"cat": 2}


async def test_racing_revisions_of_one_image_end_in_the_newest(store: Catalogue, job: str) -> None:
    for round_ in range(5):
        events = [
            catalogued(job, f"raced-{round_}", ("cat",) * number, time=at(number), model=f"m@{number}")
            for number in range(1, 6)
        ]
        random.Random(round_).shuffle(events)
        await asyncio.gather(*map(store.put_image, events))
    assert await store.categories(job) == {"cat": 25}
    assert [event.model for event in (await store.images(job)).items] == ["m@5"] * 5
    assert len(await _all(lambda after: store.masks(job, "cat", after=after, limit=7))) == 25


async def test_concurrent_puts_all_arrive(store: Catalogue, job: str) -> None:
    events = [catalogued(job, f"{number}.jpg", ("cat", "dog")) for number in range(200)]
    await asyncio.gather(*map(store.put_image, events))
    stored = await _all(lambda after: store.images(job, after=after, limit=64))
    assert stored == sorted(events, key=lambda event: event.image_key.bytes)
    assert await store.categories(job) == {"cat": 200, "dog": 200}


# ---------------------------------------------------------------------- repair
async def test_an_image_that_a_repair_wrote_again_is_the_same_and_gives_way_to_a_newer_one(
    store: Catalogue, job: str
) -> None:
    old, new = (catalogued(job, "x", names, time=at(n)) for n, names in enumerate([("cat", "dog"), ("cow",)]))
    await store.put_image(old)
    await store.put_image(old, at=at(1000))
    assert (await store.images(job)).items == (old,)
    assert await store.categories(job) == {"cat": 1, "dog": 1}
    await store.put_image(new)  # earlier than the repair, and yet the newer event
    assert (await store.images(job)).items == (new,)
    assert await store.categories(job) == {"cow": 1}
    await store.put_image(old, at=at(2000))  # of a repair that did not know better
    assert (await store.images(job)).items == (new,)
    assert await store.categories(job) == {"cow": 1}
    assert [row.mask async for rows in store.mask_rows(job) for row in rows] == list(new.masks)


async def test_a_dead_letter_that_a_repair_wrote_again_can_still_be_resolved_and_reopened_by_one(
    store: Catalogue, job: str
) -> None:
    letter = quarantined(job, "x")

    async def resolved() -> list[bool]:
        return [row.resolved for row in (await store.dead_letters(job, reason=letter.reason.value)).items]

    await store.put_dead_letter(letter, resolved=True)
    await store.put_dead_letter(letter, resolved=False)
    assert await resolved() == [True]
    await store.put_dead_letter(letter, resolved=False, at=at(10))
    assert await resolved() == [False]
    await store.put_dead_letter(letter, resolved=True, at=at(20))
    assert await resolved() == [True]


async def test_all_mask_rows_are_read_once(store: Catalogue, job: str) -> None:
    events = [catalogued(job, f"{number}.jpg", ("cat", "dog", "cat")) for number in range(30)]
    await asyncio.gather(*map(store.put_image, [*events, catalogued(f"{job}-2", "other.jpg")]))
    read = [(row.job, row.image_key, row.mask) async for rows in store.mask_rows(job) for row in rows]
    wanted = [(job, event.image_key, mask) for event in events for mask in event.masks]
    assert sorted(read, key=repr) == sorted(wanted, key=repr)


# ---------------------------------------------------------------------- replay
def _history(store: Catalogue, job: str) -> list[Callable[[], Awaitable[None]]]:
    """Writes with older and newer events of the same things, and with different ones at the same microsecond."""
    images = [
        catalogued(job, f"{number}", ("cat", f"c{number % 3}")[: 1 + number % 2], time=at(number), model=f"m@{model}")
        for number in range(8)
        for model in range(2)
    ] + [catalogued(job, "5", ("late",), time=at(100), model="m@9")]
    letters = [
        (quarantined(job, str(number), time=at(later), reason=reason), resolved)
        for number in range(4)
        for later, reason in ((0, ReasonCode.TRUNCATED), (number % 2, ReasonCode.VANISHED))
        for resolved in (False, True)
    ]
    jobs = [changed(job, listed=number, time=at(number // 2)) for number in range(6)]
    counts = [
        StageCount(job=job, stage="catalogued", partition=partition, count=number, time=at(number // 3))
        for partition in range(2)
        for number in range(9)
    ]
    return [
        *(partial(store.put_image, event) for event in images),
        *(partial(store.put_dead_letter, event, resolved=resolved) for event, resolved in letters),
        *(partial(store.put_job, event) for event in jobs),
        *(partial(store.put_count, count) for count in counts),
        *(partial(store.put_submitted, job, at(number)) for number in range(3)),
    ]


async def test_a_replay_in_any_order_ends_in_equal_rows(store: Catalogue, job: str) -> None:
    history = _history(store, job)
    for write in history:
        await write()
    expected = await _rows(store, job)
    assert expected["categories"] == {"cat": 7, "c0": 1, "c1": 2, "late": 1}
    assert [len(expected[name]) for name in ("images", "letters")] == [8, 4]
    for seed in range(3):
        await store.wipe()
        replayed = history * 2
        random.Random(seed).shuffle(replayed)
        for start in range(0, len(replayed), 10):
            await asyncio.gather(*(write() for write in replayed[start : start + 10]))
        assert await _rows(store, job) == expected


# ---------------------------------------------------------------------- pages
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_of_images_and_masks_lose_and_repeat_nothing(store: Catalogue, job: str, limit: int) -> None:
    # names chosen so that several images share a bucket: 300 images in 256 buckets
    events = [catalogued(job, f"{number}", ("cat", "cat", "dog")) for number in range(300 if limit == 100 else 12)]
    await asyncio.gather(*map(store.put_image, events))
    keys = sorted((event.image_key for event in events), key=lambda key: key.bytes)
    images = await _all(lambda after: store.images(job, after=after, limit=limit))
    assert [event.image_key for event in images] == keys
    masks = await _all(lambda after: store.masks(job, "cat", after=after, limit=limit))
    assert [(row.image_key, row.mask.index) for row in masks] == [(key, index) for key in keys for index in (0, 1)]


async def test_a_page_that_ends_with_the_last_row_has_no_cursor(store: Catalogue, job: str) -> None:
    for number in range(4):
        await store.put_image(catalogued(job, f"{number}"))
    page = await store.images(job, limit=4)
    assert (len(page.items), page.cursor) == (4, None)
    assert (await store.images(job, limit=3)).cursor is not None


async def test_a_cursor_holds_while_rows_come(store: Catalogue, job: str) -> None:
    for number in range(10):
        await store.put_image(catalogued(job, f"{number}"))
    page = await store.images(job, limit=5)
    for number in range(10, 20):
        await store.put_image(catalogued(job, f"{number}"))
    rest = await _all(lambda after: store.images(job, after=after or page.cursor, limit=5))
    last = page.items[-1].image_key.bytes
    later = sorted(key for n in range(20) if (key := image_key(f"file:///{n}").bytes) > last)
    assert [event.image_key.bytes for event in rest] == later


@pytest.mark.parametrize("cursor", ["", "garbage", "é", "A" * 28, "A" * 5000, "../..", "AQ==", "0" * 27 + "="])
async def test_a_garbage_cursor_is_the_users_mistake(store: Catalogue, job: str, cursor: str) -> None:
    for read in (
        store.images(job, after=cursor),
        store.masks(job, "cat", after=cursor),
        store.dead_letters(job, after=cursor),
    ):
        with pytest.raises(UserError, match="not a cursor of"):
            await read


async def test_a_cursor_of_another_listing_is_refused(store: Catalogue, job: str) -> None:
    for number in range(2):
        await store.put_image(catalogued(job, f"{number}"))
    cursor = (await store.images(job, limit=1)).cursor
    with pytest.raises(UserError, match="not a cursor of masks"):
        await store.masks(job, "cat", after=cursor)


@pytest.mark.parametrize("limit", [0, -1, 10_001])
async def test_a_page_of_no_rows_or_of_too_many_is_refused(store: Catalogue, job: str, limit: int) -> None:
    with pytest.raises(UserError, match="limit"):
        await store.images(job, limit=limit)


# ---------------------------------------------------------------------- dead letters
async def test_dead_letters_are_found_by_job_and_by_reason(store: Catalogue, job: str) -> None:
    reasons = (ReasonCode.TRUNCATED, ReasonCode.CORRUPT)
    events = [
        quarantined(job, f"{number}", reason=reasons[number % 2], message='it\'s "broken" ✗') for number in range(20)
    ]
    for event in events:
        await store.put_dead_letter(event, resolved=False)
    await store.put_dead_letter(quarantined(f"{job}-2", "0"), resolved=False)
    found = await _all(lambda after: store.dead_letters(job, after=after, limit=3))
    assert [row.event for row in found] == sorted(events, key=lambda event: event.id.bytes)
    for reason in reasons:
        expected = [row for row in found if row.event.reason is reason]
        assert len(expected) == 10
        read = await _all(lambda after, reason=reason: store.dead_letters(job, reason=reason, after=after, limit=2))
        assert read == expected
    assert await _all(lambda after: store.dead_letters(job, reason="no-such-reason", after=after)) == []


async def test_one_letter_is_found_by_its_id_in_its_job_alone(store: Catalogue, job: str) -> None:
    letter, other = quarantined(job, "x"), quarantined(f"{job}-2", "y")
    for event in (letter, other):
        await store.put_dead_letter(event, resolved=True)
    found = await store.dead_letter(job, letter.id)
    assert found is not None
    assert (found.event, found.resolved) == (letter, True)
    assert await store.dead_letter(job, other.id) is None
    assert await store.dead_letter(None, letter.id) is None
    unreadable = quarantined(None, job, image_key=None)
    await store.put_dead_letter(unreadable, resolved=False)
    assert (await store.dead_letter(None, unreadable.id)) is not None


async def test_letters_of_several_stages_of_one_image_are_several_rows(store: Catalogue, job: str) -> None:
    for stage in ("preprocess", "segment"):
        await store.put_dead_letter(quarantined(job, "x", stage=stage), resolved=False)
    assert {row.event.stage for row in (await store.dead_letters(job)).items} == {"preprocess", "segment"}


async def test_a_letter_whose_reason_changed_is_found_under_the_new_one_alone(store: Catalogue, job: str) -> None:
    await store.put_dead_letter(quarantined(job, "x", reason=ReasonCode.CORRUPT, time=at(1)), resolved=False)
    await store.put_dead_letter(quarantined(job, "x", reason=ReasonCode.TRUNCATED, time=at(0)), resolved=False)
    assert (await store.dead_letters(job, reason="truncated")).items == ()
    assert len((await store.dead_letters(job, reason="corrupt")).items) == 1


@pytest.mark.parametrize("resolved_first", [False, True])
async def test_resolved_wins_at_the_same_time(store: Catalogue, job: str, resolved_first: bool) -> None:
    letter = quarantined(job, "x")
    for resolved in (resolved_first, not resolved_first):
        await store.put_dead_letter(letter, resolved=resolved)
    assert [row.resolved for row in (await store.dead_letters(job)).items] == [True]


async def test_an_image_quarantined_anew_is_unresolved_anew(store: Catalogue, job: str) -> None:
    await store.put_dead_letter(quarantined(job, "x", time=at(1)), resolved=False)
    await store.put_dead_letter(quarantined(job, "x", time=at(0)), resolved=True)
    assert [row.resolved for row in (await store.dead_letters(job)).items] == [False]


async def test_undecodable_events_belong_to_no_job(store: Catalogue, job: str) -> None:
    letter = quarantined(None, job)
    await store.put_dead_letter(letter, resolved=False)
    found = await _all(lambda after: store.dead_letters(None, after=after, limit=50))
    assert letter in [row.event for row in found]
    assert (await store.dead_letters(job)).items == ()


# ---------------------------------------------------------------------- models, datasets, wipe
async def test_models_are_listed_by_name_and_time(store: Catalogue, job: str) -> None:
    events = [registered(f"{job}-{name}", v, time=at(-n)) for name in "ba" for n, v in enumerate(("1", "2"))]
    for event in events:
        await store.put_model(event)
        await store.put_model(event.model_copy(update={"time": at(-50), "description": "older"}))
    mine = [event for event in await store.models() if event.name.startswith(job)]
    assert mine == sorted(events, key=lambda event: (event.name, event.time))


@pytest.mark.parametrize("first", ["registered", "withdrawn"])
async def test_a_withdrawn_model_is_not_listed_until_it_is_registered_later(
    store: Catalogue, job: str, first: str
) -> None:
    model = registered(job, "1", time=at(0))
    puts = [store.put_model(model), store.put_model_withdrawn(withdrawn(job, "1", time=at(1)))]
    for put in puts if first == "registered" else reversed(puts):
        await put
    assert [event for event in await store.models() if event.name == job] == []
    again = model.model_copy(update={"time": at(2)})
    await store.put_model(again)
    assert [event for event in await store.models() if event.name == job] == [again]


@pytest.mark.parametrize("first", ["registered", "withdrawn"])
async def test_a_model_that_was_registered_and_withdrawn_in_one_microsecond_stays(
    store: Catalogue, job: str, first: str
) -> None:
    model = registered(job, "1", time=at(0))
    puts = [store.put_model(model), store.put_model_withdrawn(withdrawn(job, "1", time=at(0)))]
    for put in puts if first == "registered" else reversed(puts):
        await put
    assert [event for event in await store.models() if event.name == job] == [model]


async def test_the_newest_evaluation_on_each_dataset_counts(store: Catalogue, job: str) -> None:
    events = [evaluated(job, version, dataset, time=at(5)) for version in "12" for dataset in ("north", "south")]
    for event in events:
        await store.put_evaluation(event)
        await store.put_evaluation(event.model_copy(update={"time": at(4), "images": 3}))
    mine = [event for event in await store.evaluations() if event.name == job]
    assert sorted(mine, key=lambda event: event.key) == events


async def test_datasets_name_their_jobs(store: Catalogue, job: str) -> None:
    for number in range(2):
        await store.put_job(changed(f"{job}-{number}", dataset=f"{job}-set", time=at(number)))
    assert (await store.datasets())[f"{job}-set"] == [f"{job}-1", f"{job}-0"]


async def test_a_wiped_catalogue_is_empty_and_takes_the_replay(store: Catalogue, job: str) -> None:
    async def put() -> None:
        await store.put_job(changed(job))
        await store.put_count(StageCount(job=job, stage="catalogued", partition=0, count=1, time=NOON))
        await store.put_image(catalogued(job, "a", ("cat",), time=at(0)))
        await store.put_image(catalogued(job, "a", ("dog",), time=at(1)))
        await store.put_dead_letter(quarantined(job, "b"), resolved=False)
        await store.put_model(registered(job, "1"))
        await store.put_evaluation(evaluated(job, "1", "north"))

    await put()
    before = await _rows(store, job)
    await store.wipe()
    assert await store.jobs() == []
    assert list(await store.models()) == []
    assert list(await store.evaluations()) == []
    assert await _rows(store, job) == {"job": None, "images": [], "masks": {}, "categories": {}, "letters": []}
    await put()
    assert await _rows(store, job) == before


async def test_migrating_again_does_nothing(place: Settings) -> None:
    assert await catalogue(place).migrate() == []


async def test_closing_twice_does_no_harm(place: Settings) -> None:
    opened = catalogue(place)
    await opened.open()
    await opened.close()
    await opened.close()
    with pytest.raises(RuntimeError, match="not open"):
        await opened.jobs()
