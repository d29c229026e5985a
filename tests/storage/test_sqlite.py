from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.events import catalogued, changed, found
from watson.errors import ReasonCode, Retriable, UserError
from watson.storage import sqlite_connections, sqlite_find
from watson.storage.schema_steps import schema_steps
from watson.storage.sqlite import SqliteCatalogue
from watson.storage.stored import dump
from watson.storage.wanted import Wanted

STEPS = [step.name for step in schema_steps("sql")]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteCatalogue]:
    opened = SqliteCatalogue(tmp_path / "catalogue.db")
    await opened.migrate()
    await opened.open()
    yield opened
    await opened.close()


def _alter(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


async def test_a_missing_file_is_refused_with_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no catalogue at sqlite:.*watson catalogue migrate"):
        await SqliteCatalogue(tmp_path / "nowhere.db").open()
    assert not (tmp_path / "nowhere.db").exists()


async def test_a_file_without_tables_is_refused_with_what_to_run(tmp_path: Path) -> None:
    _alter(tmp_path / "empty.db", "CREATE TABLE other (x)")
    with pytest.raises(
        UserError, match=r"lacks 0001_tables, 0002_evaluations, 0003_finding: run `watson catalogue migrate`"
    ):
        await SqliteCatalogue(tmp_path / "empty.db").open()


async def test_a_newer_schema_is_refused_and_not_migrated(tmp_path: Path) -> None:
    store = SqliteCatalogue(tmp_path / "newer.db")
    await store.migrate()
    _alter(tmp_path / "newer.db", "INSERT INTO schema_steps VALUES (999, '0999_future', 'later')")
    for refused in (store.open, store.migrate):
        with pytest.raises(UserError, match=r"step 999.*upgrade Watson"):
            await refused()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear reader, " * 100)
    for refused in (SqliteCatalogue(path).open, SqliteCatalogue(path).migrate):
        with pytest.raises(UserError, match="not a database"):
            await refused()


async def test_migrate_makes_missing_directories(tmp_path: Path) -> None:
    store = SqliteCatalogue(tmp_path / "a" / "b" / "catalogue.db")
    assert await store.migrate() == STEPS
    await store.open()
    await store.close()


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        await SqliteCatalogue(tmp_path / "file" / "catalogue.db").migrate()


async def test_migrations_at_the_same_time_do_each_step_once(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from watson.storage.sqlite import SqliteCatalogue;"
        "print(asyncio.run(SqliteCatalogue(Path(sys.argv[1])).migrate()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "catalogue.db")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert outputs == sorted([str(STEPS), "[]", "[]"])


async def test_a_write_that_returned_is_seen_by_another_process_at_once(store: SqliteCatalogue, tmp_path: Path) -> None:
    await store.put_job(changed("j"))
    code = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT job FROM jobs').fetchall())"
    command = [sys.executable, "-c", code, str(tmp_path / "catalogue.db")]
    seen = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)
    assert seen.stdout.strip() == "[('j',)]"


async def test_a_locked_file_is_reported_as_passing_and_the_write_succeeds_later(
    store: SqliteCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connections, "BUSY_SECONDS", 0.1)
    other = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retriable, match="locked") as caught:
        await store.put_job(changed("j"))
    assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
    assert await store.jobs() == []  # readers are not held up
    other.execute("ROLLBACK")
    other.close()
    await store.put_job(changed("j"))
    assert [row.job.job for row in await store.jobs()] == ["j"]


async def test_one_failing_write_does_not_fail_those_that_share_its_commit(store: SqliteCatalogue) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO jobs (job) VALUES ('half')")
        raise ZeroDivisionError

    writes = [store.put_image(catalogued("j", str(number))) for number in range(5)]
    outcomes = await asyncio.gather(*writes, store._write(fail), *[], return_exceptions=True)
    assert outcomes[:5] == [None] * 5
    assert isinstance(outcomes[5], ZeroDivisionError)
    assert len((await store.images("j")).items) == 5
    row = await store._reading.read(lambda db: db.execute("SELECT * FROM jobs").fetchall())
    assert row == []


async def test_concurrent_writes_share_commits(store: SqliteCatalogue) -> None:
    assert store._writer is not None
    transactions = 0
    transact = store._writer._transact

    def counting(operations: list[sqlite_connections.Operation]) -> Exception | None:
        nonlocal transactions
        transactions += 1
        return transact(operations)

    store._writer._transact = counting  # type: ignore[method-assign]  # counts, then does the real thing
    await asyncio.gather(*(store.put_image(catalogued("j", str(number))) for number in range(100)))
    assert transactions <= 2
    assert await store.categories("j") == {"cat": 100}


async def test_a_cancelled_write_does_not_hold_up_the_others(store: SqliteCatalogue) -> None:
    first = asyncio.create_task(store.put_job(changed("first")))
    second = asyncio.create_task(store.put_job(changed("second")))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 10)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_closing_finishes_what_is_being_written(tmp_path: Path) -> None:
    store = SqliteCatalogue(tmp_path / "catalogue.db")
    await store.migrate()
    await store.open()
    writes = [asyncio.create_task(store.put_image(catalogued("j", str(number)))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    await store.open()
    assert await store.categories("j") == {"cat": 50}
    await store.close()


async def test_a_read_that_takes_too_long_is_interrupted(
    store: SqliteCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connections, "READ_SECONDS", 0.05)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    with pytest.raises(Retriable, match="interrupted"):
        await store._reading.read(lambda db: db.execute(endless).fetchone())
    assert await store.jobs() == []


async def test_the_number_of_masks_is_answered_by_an_index_alone(store: SqliteCatalogue) -> None:
    query = "EXPLAIN QUERY PLAN SELECT category, count(*) FROM masks WHERE job = 'j' GROUP BY category"
    ((*_, plan),) = await store._reading.read(lambda db: db.execute(query).fetchall())
    assert "COVERING INDEX" in plan


async def test_a_file_from_before_images_could_be_found_is_filled_when_it_is_migrated(tmp_path: Path) -> None:
    events = [found("j", f"{n}", *(("cat", n / 10, 20 * n), ("dog", 0.5, 7))[: n % 3]) for n in range(6)]
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE schema_steps (step INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"
        )
        for step in schema_steps("sql")[:2]:
            for statement in step.statements:
                old.execute(statement)
            old.execute("INSERT INTO schema_steps VALUES (?, ?, '')", (step.number, step.name))
        for event in events:
            key = event.image_key.bytes
            old.execute("INSERT INTO images VALUES (?, ?, x'00', ?)", ("j", key, dump(event)))
            for mask in event.masks:
                row = ("j", mask.category, key, mask.index, mask.model_dump_json())
                old.execute("INSERT INTO masks VALUES (?, ?, ?, ?, ?)", row)
        for key, damaged in (("ff", "{}"), ("ffff", "{")):
            old.execute(f"INSERT INTO images VALUES ('j', x'{key}', x'00', ?)", (damaged,))
            old.execute(f"INSERT INTO masks VALUES ('j', 'cat', x'{key}', 0, ?)", (damaged,))
    old.close()
    store, new = SqliteCatalogue(path), SqliteCatalogue(tmp_path / "new.db")
    assert await store.migrate() == ["0003_finding"]
    await new.migrate()
    for one in (store, new):
        await one.open()
    for event in events:
        await new.put_image(event)
    query = "SELECT image_key, uncertainty, masks FROM images WHERE image_key < x'ff' ORDER BY image_key"
    masks = (
        "SELECT image_key, mask_index, score, area FROM masks WHERE image_key < x'ff' ORDER BY image_key, mask_index"
    )
    for asked in (query, masks):
        rows = [await one._reading.read(lambda db, asked=asked: db.execute(asked).fetchall()) for one in (store, new)]
        assert rows[0] == rows[1] != []
    for one in (store, new):
        await one.close()


async def test_whatever_is_asked_is_answered_by_an_index(store: SqliteCatalogue) -> None:
    asked: list[str] = []

    def spy(db: sqlite3.Connection) -> None:
        db.set_trace_callback(asked.append)
        for wanted in (
            Wanted(),
            Wanted(nothing=True),
            Wanted(least_score=0.5),
            Wanted(categories=("cat", "dog"), most_area=0.5),
        ):
            sqlite_find.find_by_key(db, "j", wanted, None, 5)
            sqlite_find.find_by_uncertainty(db, "j", wanted, None, 5)
        db.set_trace_callback(None)

    await store._reading.read(spy)
    assert len(asked) > 10
    for query in asked:
        plan = await store._reading.read(lambda db, query=query: db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())
        touched = [
            line for *_, line in plan if " images" in line or " masks" in line or line.startswith(("SCAN", "SE"))
        ]
        assert touched, query
        assert all("INDEX" in line for line in touched if not line.startswith("SCAN (")), (query, plan)


async def test_a_damaged_row_is_named_with_what_to_do(store: SqliteCatalogue, tmp_path: Path) -> None:
    await store.put_job(changed("j"))
    _alter(tmp_path / "catalogue.db", "UPDATE jobs SET event = replace(event, 'listing', 'dancing')")
    with pytest.raises(UserError, match=r"damaged job-changed.*watson project rebuild"):
        await store.jobs()
