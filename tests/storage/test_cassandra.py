"""What only the Cassandra catalogue does; what all catalogues do is in test_catalogue.py."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import RoundRobinPolicy

from tests.services import CassandraEndpoint
from tests.storage.events import at, catalogued, changed, evaluated, found, quarantined, registered
from tests.storage.proxy import Proxy
from watson.errors import ReasonCode, Retriable, UserError
from watson.events import now
from watson.settings import Settings
from watson.storage.cassandra import CassandraCatalogue
from watson.storage.schema_steps import schema_steps
from watson.storage.stored import dump, micros, revision
from watson.storage.uncertainty import doubt
from watson.storage.wanted import Order, Wanted

pytestmark = pytest.mark.services


@pytest.fixture
def settings(cassandra: CassandraEndpoint, keyspace: str) -> Settings:
    return Settings(catalogue=f"cassandra://{cassandra.host}:{cassandra.port}/{keyspace}")


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[CassandraCatalogue]:
    opened = CassandraCatalogue(settings)
    await opened.migrate()
    await opened.open()
    yield opened
    await opened.close()


@contextmanager
def _session(node: CassandraEndpoint) -> Iterator[Session]:
    profile = ExecutionProfile(RoundRobinPolicy(), consistency_level=ConsistencyLevel.ONE, request_timeout=30)
    with (
        Cluster(
            [node.host], port=node.port, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile}
        ) as cluster,
        cluster.connect() as session,
    ):
        yield session


def _run(node: CassandraEndpoint, *statements: str) -> list[Any]:
    with _session(node) as session:
        return [list(session.execute(statement)) for statement in statements]


# ---------------------------------------------------------------------- schema
async def test_a_missing_keyspace_is_refused_with_what_to_run(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"no keyspace .*watson catalogue migrate"):
        await CassandraCatalogue(settings).open()


async def test_migrations_at_the_same_time_do_each_step_once(
    settings: Settings, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    outcomes = await asyncio.gather(*(CassandraCatalogue(settings).migrate() for _ in range(3)))
    assert sorted(outcomes) == [[], [], [step.name for step in schema_steps("cql")]]
    assert _run(cassandra, f"SELECT * FROM {keyspace}.schema_lock") == [[]]


async def test_schemas_that_are_not_this_codes_own_are_refused(
    settings: Settings, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
    _run(cassandra, f"CREATE KEYSPACE {keyspace} WITH replication = {replication}")
    with pytest.raises(UserError, match=r"no tables yet: run `watson catalogue migrate`"):
        await CassandraCatalogue(settings).open()
    await CassandraCatalogue(settings).migrate()
    _run(cassandra, f"INSERT INTO {keyspace}.schema_steps (component, step, name) VALUES ('catalogue', 9, '0009_x')")
    for refused in (CassandraCatalogue(settings).open, CassandraCatalogue(settings).migrate):
        with pytest.raises(UserError, match=r"step 9.*upgrade Watson"):
            await refused()


async def test_the_partitions_of_a_job_are_bounded(
    store: CassandraCatalogue, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    await store.put_job(changed("j"))
    with _session(cassandra) as session:
        tables = session.cluster.metadata.keyspaces[keyspace].tables
        keys = {name: [column.name for column in table.partition_key] for name, table in tables.items()}
    bucketed = ("images", "masks", "dead_letters", "dead_letters_by_reason")
    assert {name: keys[name] for name in bucketed} == {name: ["job", "bucket"] for name in bucketed}
    assert keys["images_by_uncertainty"] == ["job", "level", "part"]


# ---------------------------------------------------------------------- revisions
async def test_a_writer_that_died_before_it_took_away_the_older_revision_is_made_good_by_the_replay(
    store: CassandraCatalogue,
) -> None:
    older = catalogued("j", "x", ("cat", "old"), time=at(0), model="m@1")
    newer = catalogued("j", "x", ("cat",), time=at(1), model="m@2")
    images = store._db.images
    for event in (newer, older):
        await store._db.session.execute_together(images._insertions(event))
    assert await store.image("j", newer.image_key) == newer
    assert (await store.images("j")).items == (newer,)
    assert [row.mask for row in (await store.masks("j", "cat")).items] == list(newer.masks)
    await store.put_image(newer)
    assert await store.categories("j") == {"cat": 1}


async def test_an_entry_of_an_outdated_revision_or_of_no_image_is_passed_over(store: CassandraCatalogue) -> None:
    images = [found("j", name, ("cat", 0.5, 5), time=at(1)) for name in "abc"]
    for image in images:
        await store.put_image(image)
    ranks = store._db.images.ranks
    for name, score in (("a", 0.1), ("b", 0.5), ("gone", 0.3)):  # as if their writers had died after the first write
        event = found("j", name, ("cat", score, 5), time=at(0))
        await ranks.put(event, revision(event.time, dump(event)), micros(event.time))
    assert len(await ranks.page("j", None, 10)) == 6
    read, cursor = [], None
    while page := await store.find("j", Wanted(), order=Order.UNCERTAINTY, after=cursor, limit=1):
        read += page.items
        if (cursor := page.cursor) is None:
            break
    assert sorted(read, key=repr) == sorted(images, key=repr)


async def test_entries_go_with_their_revisions(
    store: CassandraCatalogue, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    for age, score in ((0, 0.1), (2, 0.9), (1, 0.4)):
        await store.put_image(found("j", "x", ("cat", score, 5), time=at(age)))
    newest = found("j", "x", ("cat", 0.9, 5), time=at(2))
    ((entry,),) = _run(cassandra, f"SELECT uncertainty, revision FROM {keyspace}.images_by_uncertainty")
    assert (entry.uncertainty, entry.revision) == (doubt(newest).value, revision(newest.time, dump(newest)))


async def test_a_masks_row_says_when_its_event_was(
    store: CassandraCatalogue, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    await store.put_image(catalogued("j", "x", time=at(7)))
    ((row,),) = _run(cassandra, f"SELECT writetime(mask) AS written FROM {keyspace}.masks")
    ((image,),) = _run(cassandra, f"SELECT writetime(event) AS written FROM {keyspace}.images")
    assert row.written == image.written == round(at(0).timestamp() * 1_000_000) + 7


async def test_a_result_of_several_pages_is_read_whole(store: CassandraCatalogue) -> None:
    events = [registered("m", f"{number:03}", time=at(number)) for number in range(600)]
    await asyncio.gather(*map(store.put_model, events))
    assert list(await store.models()) == events


@pytest.mark.parametrize("limit", [130, 2000])
async def test_a_full_bucket_is_paged_without_loss_or_repetition(store: CassandraCatalogue, limit: int) -> None:
    keys = [UUID(int=(7 << 120) | (5 << 76) | number) for number in range(1, 701)]  # bucket 7, UUID version 5
    session, images = store._db.session, store._db.images
    for number, key in enumerate(keys):
        revisions = [catalogued("j", "x", ("cat", "cat"), time=at(age)) for age in range(1 + number % 2)]
        for event in revisions:  # older revisions as if their writers had died before they took them away
            await session.execute_together(images._insertions(event.model_copy(update={"image_key": key})))
    found, cursor = [], None
    while page := await store.images("j", after=cursor, limit=limit):
        found += [(event.image_key, event.time) for event in page.items]
        if (cursor := page.cursor) is None:
            break
    assert found == [(key, at(number % 2)) for number, key in enumerate(keys)]
    masks, cursor = [], None
    while rows := await store.masks("j", "cat", after=cursor, limit=limit):
        masks += [(row.image_key, row.mask.index) for row in rows.items]
        if (cursor := rows.cursor) is None:
            break
    assert masks == [(key, index) for key in keys for index in (0, 1)]


# ---------------------------------------------------------------------- when it is away
async def test_a_host_that_nobody_is_at_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = free.getsockname()[1]
        settings = Settings(catalogue=f"cassandra://127.0.0.1:{port}/watson")
        for refused in (CassandraCatalogue(settings).open, CassandraCatalogue(settings).migrate):
            with pytest.raises(UserError, match=rf"cassandra://127\.0\.0\.1:{port}/watson cannot be reached"):
                await refused()


async def test_a_server_that_falls_silent_is_reported_in_time_and_found_again(
    store: CassandraCatalogue, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    async with Proxy(cassandra.host, cassandra.port).running() as proxy:
        settings = Settings(catalogue=f"cassandra://127.0.0.1:{proxy.port}/{keyspace}", cassandra_timeout=2.0)
        through = CassandraCatalogue(settings)
        await through.open()
        try:
            await through.put_job(changed("before"))
            proxy.silence()
            started = time.monotonic()
            with pytest.raises(Retriable, match="catalogue cassandra://") as caught:
                await through.put_job(changed("meanwhile"))
            assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
            assert time.monotonic() - started < 20
            proxy.speak()
            await _until_written(through, "after")
        finally:
            proxy.speak()
            await through.close()
    assert {"before", "after"} <= {row.job.job for row in await store.jobs()}


async def _until_written(store: CassandraCatalogue, job: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return await store.put_job(changed(job))
        except Retriable:
            if time.monotonic() > deadline:
                raise


async def test_the_event_loop_goes_on_while_a_silent_server_is_waited_for(
    cassandra: CassandraEndpoint, keyspace: str
) -> None:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    async with Proxy(cassandra.host, cassandra.port).running() as proxy:
        proxy.silence()
        settings = Settings(catalogue=f"cassandra://127.0.0.1:{proxy.port}/{keyspace}", cassandra_timeout=3.0)
        ticking = asyncio.create_task(tick())
        with pytest.raises(UserError, match="cannot be reached"):
            await CassandraCatalogue(settings).open()
        ticking.cancel()
    assert longest < 2.0  # seconds: the wait for the server was longer


# ---------------------------------------------------------------------- repair
async def test_rows_that_were_deleted_by_hand_come_back_only_at_a_time_after_that(
    store: CassandraCatalogue, cassandra: CassandraEndpoint, keyspace: str
) -> None:
    image, letter, model = catalogued("j", "a", ("cat", "dog")), quarantined("j", "b"), registered("m", "1")
    tables = (
        "images",
        "masks",
        "dead_letters",
        "dead_letters_by_reason",
        "models",
        "jobs",
        "evaluations",
        "images_by_uncertainty",
    )

    async def put(at: datetime | None) -> list[list[Any]]:
        await store.put_image(image, at=at)
        await store.put_dead_letter(letter, resolved=False, at=at)
        await store.put_model(model, at=at)
        await store.put_submitted("j", image.time, at=at)
        await store.put_evaluation(evaluated("m", "1", "north"), at=at)
        return _run(cassandra, *(f"SELECT * FROM {keyspace}.{table}" for table in tables))

    before = await put(None)
    assert all(before)
    bucket, other = image.image_key.bytes[0], letter.id.bytes[0]
    _run(
        cassandra,
        *(f"DELETE FROM {keyspace}.{table} WHERE job = 'j' AND bucket = {bucket}" for table in tables[:2]),
        *(f"DELETE FROM {keyspace}.{table} WHERE job = 'j' AND bucket = {other}" for table in tables[2:4]),
        f"DELETE FROM {keyspace}.models WHERE shard = {before[4][0].shard}",
        f"DELETE FROM {keyspace}.jobs WHERE shard = {before[5][0].shard}",
        f"DELETE FROM {keyspace}.evaluations WHERE shard = {before[6][0].shard}",
        f"DELETE FROM {keyspace}.images_by_uncertainty "
        f"WHERE job = 'j' AND level = {before[7][0].level} AND part = {before[7][0].part}",
    )
    assert await put(None) == [[]] * 8, "the deletions hide what was written at the events' own time"
    assert await put(now()) == before
