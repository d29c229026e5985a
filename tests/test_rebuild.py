"""The catalogue made anew from the log."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from tests.ledger import JOB, PARTITIONS, Ledger, written
from watson.agents.ports import partition_of
from watson.errors import BrokerUnavailable, UserError
from watson.events import ImageCatalogued, now
from watson.rebuild import rebuild
from watson.settings import Settings
from watson.storage.catalogue import StageCount
from watson.storage.sqlite import SqliteCatalogue

pytestmark = pytest.mark.services

TABLES = {
    "images": "SELECT * FROM images ORDER BY 1, 2",
    "masks": "SELECT * FROM masks ORDER BY 1, 2, 3, 4",
    "dead_letters": "SELECT * FROM dead_letters ORDER BY 1, 2",
    "jobs": "SELECT * FROM jobs ORDER BY 1",
    "job_counts": "SELECT job, stage, partition, count FROM job_counts ORDER BY 1, 2, 3",  # the time is of the writing
}


@pytest.fixture(scope="module")
def original(kafka, tmp_path_factory):
    with written(kafka.brokers, tmp_path_factory.mktemp("ledger")) as made:
        yield made


@pytest.fixture
def ledger(original, tmp_path):
    return original.copy(tmp_path)


def content(ledger: Ledger) -> dict[str, list]:
    with sqlite3.connect(ledger.database) as database:
        return {table: database.execute(query).fetchall() for table, query in TABLES.items()}


def rebuilt(ledger: Ledger, settings: Settings | None = None) -> tuple[int, list[tuple[int, int]]]:
    progress: list[tuple[int, int]] = []

    async def run() -> int:
        rows = ledger.catalogue()
        await rows.open()
        try:
            return await rebuild(settings or ledger.settings, rows, lambda *step: progress.append(step))
        finally:
            await rows.close()

    return asyncio.run(run()), progress


def test_a_catalogue_with_rows_lost_and_rows_invented_becomes_what_the_log_says(ledger):
    before = content(ledger)
    assert all(before.values())
    with sqlite3.connect(ledger.database) as database:
        database.execute("DELETE FROM masks")
        database.execute("UPDATE images SET job = 'invented'")
        database.execute("DELETE FROM dead_letters")
        database.execute("UPDATE job_counts SET count = count + 7")
    assert content(ledger) != before
    events, progress = rebuilt(ledger)
    assert content(ledger) == before
    assert events == 19
    assert progress[-1] == (PARTITIONS - 1, events)


def test_what_a_worker_counts_meanwhile_is_not_overwritten_by_what_was_so_before(ledger):
    homes: set[int] = set()

    class Busy(SqliteCatalogue):
        """A worker has counted another image while the log is read."""

        async def put_image(self, event: ImageCatalogued, **options: Any) -> None:
            await super().put_image(event, **options)
            home = partition_of(event.key.encode(), PARTITIONS)
            if event.job == JOB:
                homes.add(home)
            await self.put_count(StageCount(job=event.job, stage="segmented", partition=home, count=50, time=now()))

    async def run() -> dict[str, int]:
        rows = Busy(ledger.database)
        await rows.open()
        await rebuild(ledger.settings, rows)
        row = await rows.job(JOB)
        await rows.close()
        assert row is not None
        return row.counts

    assert asyncio.run(run())["segmented"] == 50 * len(homes)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"brokers": "127.0.0.1:1", "broker_wait": 0.2}, BrokerUnavailable),
        ({"topic_prefix": "no-such-prefix-"}, UserError),
        ({"partitions": PARTITIONS + 1}, UserError),
    ],
    ids=["no broker", "no topics", "another number of partitions"],
)
def test_nothing_is_emptied_where_the_log_cannot_be_read(ledger, change, refusal):
    before = content(ledger)
    with pytest.raises(refusal):
        rebuilt(ledger, ledger.settings.model_copy(update=change))
    assert content(ledger) == before


def test_a_job_of_the_rebuilt_catalogue_has_its_counts(ledger):
    rebuilt(ledger)

    async def counts() -> dict[str, int]:
        rows = ledger.catalogue()
        await rows.open()
        row = await rows.job(JOB)
        await rows.close()
        assert row is not None
        return row.counts

    expected = {"discovered": 3, "preprocessed": 2, "segmented": 2, "catalogued": 2, "quarantined": 1}
    assert asyncio.run(counts()) == expected
