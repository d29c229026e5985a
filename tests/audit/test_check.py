"""Each kind of finding, on a log made by hand: docs/operations.md has the list."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.ledger import JOB, ODD, TIME, Ledger, key, written
from tests.storage.events import catalogued, quarantined
from watson.audit import KINDS, Audit, audit
from watson.errors import BrokerUnavailable, UserError
from watson.events import ImageCatalogued
from watson.settings import Settings
from watson.storage.catalogue import Page, StageCount
from watson.storage.sqlite import SqliteCatalogue

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def original(kafka, tmp_path_factory):
    with written(kafka.brokers, tmp_path_factory.mktemp("ledger")) as made:
        yield made


@pytest.fixture
def ledger(original, tmp_path):
    return original.copy(tmp_path)


def run_audit(ledger: Ledger, job: str = JOB, *, source: bool = False, rows: SqliteCatalogue | None = None) -> Audit:
    async def run() -> Audit:
        catalogue, store = rows or ledger.catalogue(), ledger.store()
        await catalogue.open()
        await store.open()
        try:
            return await audit(job, ledger.settings, catalogue, store, source=source)
        finally:
            await store.close()
            await catalogue.close()

    return asyncio.run(run())


def found(result: Audit) -> set[tuple[str, str | None]]:
    assert result.clean == (not result.findings)
    return {(finding.kind, finding.image_key) for finding in result.findings}


def damage(ledger: Ledger, statement: str) -> None:
    with sqlite3.connect(ledger.database) as database:
        assert database.execute(statement, {"a": key(ledger, "a").bytes}).rowcount > 0


def put(ledger: Ledger, write: Callable[[SqliteCatalogue], object]) -> None:
    async def run() -> None:
        rows = ledger.catalogue()
        await rows.open()
        await write(rows)
        await rows.close()

    asyncio.run(run())


@pytest.fixture
def a(original):
    return str(key(original, "a"))


@pytest.fixture(autouse=True)
def keys_of_the_source(monkeypatch, original):
    """A copy shares the source of the original: keys are made of its path."""
    monkeypatch.setattr(Ledger, "source", property(lambda _: original.folder / "source"))


def test_a_ledger_that_closes_is_clean_and_counted(ledger):
    result = run_audit(ledger, source=True)
    assert found(result) == set()
    numbers = (result.listed, result.discovered, result.preprocessed, result.segmented)
    assert (*numbers, result.catalogued, result.quarantined, result.in_flight) == (3, 3, 2, 2, 2, 1, 0)
    assert result.objects == 4


def test_a_job_that_the_log_does_not_know_is_said_to_be_unknown(ledger):
    assert found(run_audit(ledger, "nobody")) == {("job-unknown", None)}


def test_a_picture_added_to_the_source_was_not_discovered(ledger):
    added = ledger.source / "new"
    added.write_text("new")
    try:
        assert found(run_audit(ledger, source=True)) == {("not-discovered", str(key(ledger, "new")))}
        assert found(run_audit(ledger, source=False)) == set()
    finally:
        added.unlink()


def test_a_picture_taken_from_the_source_is_no_longer_in_it(ledger, a):
    (ledger.source / "a").unlink()
    try:
        assert found(run_audit(ledger, source=True)) == {("not-in-source", a)}
    finally:
        (ledger.source / "a").write_text("a")


def test_an_image_that_ended_undiscovered_and_a_mask_of_two_images_are_found(ledger):
    kinds = {kind for kind, _ in found(run_audit(ledger, ODD))}
    assert kinds == {"never-discovered", "mask-twice"}


def test_a_missing_object_is_found_and_only_it(ledger, a):
    ledger.object("masks/a.json.gz").unlink()
    assert found(run_audit(ledger)) == {("object-missing", a)}


def test_an_altered_object_is_found_with_both_hashes(ledger, a):
    ledger.object("preprocessed/a.jpg").write_text("altered")
    result = run_audit(ledger)
    assert found(result) == {("object-altered", a)}
    assert len(re.findall(r"[0-9a-f]{64}", result.findings[0].detail)) == 2


def test_a_missing_row_is_found(ledger, a):
    damage(ledger, "DELETE FROM images WHERE image_key = :a")
    assert found(run_audit(ledger)) == {("row-missing", a)}


def test_a_row_that_says_something_else_than_its_event_is_found(ledger, a):
    damage(ledger, "UPDATE images SET event = replace(event, '\"cat\"', '\"cow\"') WHERE image_key = :a")
    assert found(run_audit(ledger)) == {("row-differs", a)}


def test_a_row_without_an_event_is_found(ledger):
    event = catalogued(JOB, "from-nowhere")
    put(ledger, lambda rows: rows.put_image(event))
    image = str(event.image_key)
    assert found(run_audit(ledger)) == {("row-without-event", image), ("mask-row-without-event", image)}


def test_a_row_that_is_there_twice_is_found(ledger, a):
    class Twice(SqliteCatalogue):
        """SQLite's primary key forbids it; buckets of another database may not."""

        async def images(self, job: str, *, after: str | None = None, limit: int = 100) -> Page[ImageCatalogued]:
            page = await super().images(job, after=after, limit=limit)
            again = tuple(event for event in page.items if str(event.image_key) == a)
            return Page(items=page.items + again, cursor=page.cursor)

    assert found(run_audit(ledger, rows=Twice(ledger.database))) == {("row-twice", a)}


def test_a_wrong_count_is_found_and_both_numbers_are_named(ledger):
    more = StageCount(job=JOB, stage="segmented", partition=0, count=40, time=TIME + timedelta(days=9999))
    put(ledger, lambda rows: rows.put_count(more))
    (finding,) = run_audit(ledger).findings
    assert finding.kind == "count-wrong"
    assert re.search(r"segmented: 4\d in the catalogue, 2 in the log", finding.detail)


def test_a_mask_row_that_is_gone_is_found(ledger, a):
    damage(ledger, "DELETE FROM masks WHERE image_key = :a AND category = 'dog'")
    (finding,) = run_audit(ledger).findings
    assert (finding.kind, finding.image_key) == ("mask-row-missing", a)
    assert "1 rows of 2 masks" in finding.detail


def test_a_mask_row_that_says_something_else_is_found(ledger, a):
    damage(ledger, "UPDATE masks SET mask = replace(mask, '\"area\":10', '\"area\":11') WHERE image_key = :a")
    assert found(run_audit(ledger)) == {("mask-row-differs", a)}


def test_a_mask_row_that_no_event_speaks_of_is_found(ledger, a):
    damage(ledger, "INSERT INTO masks (job, category, image_key, mask_index, mask) "
                   "SELECT job, 'cow', image_key, 7, replace(mask, '\"index\":0', '\"index\":7') "
                   "FROM masks WHERE image_key = :a AND mask_index = 0")  # fmt: skip
    assert found(run_audit(ledger)) == {("mask-row-without-event", a)}


def test_a_mask_row_that_cannot_be_read_is_said_in_one_line(ledger):
    damage(ledger, "UPDATE masks SET mask = 'rubbish' WHERE image_key = :a")
    with pytest.raises(UserError, match=r"damaged mask .*project rebuild"):
        run_audit(ledger)


def test_a_job_row_that_says_something_else_is_found(ledger):
    damage(ledger, f"UPDATE jobs SET event = replace(event, '\"complete\"', '\"listing\"') WHERE job = '{JOB}'")
    assert found(run_audit(ledger)) == {("job-row-differs", None)}


def test_a_dead_letter_that_is_wrongly_resolved_is_found(ledger):
    damage(ledger, f"UPDATE dead_letters SET resolved = 1 WHERE job = '{JOB}'")
    assert found(run_audit(ledger)) == {("letter-missing", str(key(ledger, "c")))}


def test_a_missing_dead_letter_is_found(ledger):
    damage(ledger, f"DELETE FROM dead_letters WHERE job = '{JOB}'")
    assert found(run_audit(ledger)) == {("letter-missing", str(key(ledger, "c")))}


def test_a_dead_letter_without_an_event_is_found(ledger):
    letter = quarantined(JOB, "from-nowhere")
    put(ledger, lambda rows: rows.put_dead_letter(letter, resolved=False))
    assert found(run_audit(ledger)) == {("letter-without-event", str(letter.image_key))}


def test_a_missing_row_of_the_job_is_found(ledger):
    damage(ledger, f"DELETE FROM jobs WHERE job = '{JOB}'")
    assert ("job-row-missing", None) in found(run_audit(ledger))


def test_an_audit_with_another_number_of_partitions_is_refused_rather_than_wrong(ledger):
    other = Ledger(ledger.settings.model_copy(update={"partitions": 5}), ledger.folder)
    with pytest.raises(UserError, match="WATSON_PARTITIONS"):
        run_audit(other)


def test_an_audit_without_a_broker_says_so_in_time(ledger):
    alone = Settings(**{**ledger.settings.model_dump(), "brokers": "127.0.0.1:1", "broker_wait": 0.2})
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        run_audit(Ledger(alone, ledger.folder))


def test_every_kind_of_finding_is_described_for_operators():
    page = (ROOT / "docs/operations.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
