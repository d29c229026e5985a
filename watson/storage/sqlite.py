"""The catalogue in one SQLite file: for one machine. One process writes, any number read at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from watson.events import ImageCatalogued, ImageQuarantined, JobChanged, ModelEvaluated, ModelRegistered, ModelWithdrawn
from watson.storage.catalogue import DeadLetterRow, Found, JobRow, MaskRow, Page, StageCount
from watson.storage.cursors import Listing, Position, check_limit, page_of, position_of, rank_of
from watson.storage.sqlite_connections import Operation, SqliteReaders, SqliteWriter
from watson.storage.sqlite_find import find_by_key, find_by_uncertainty
from watson.storage.sqlite_schema import check_file, migrate_file
from watson.storage.stored import (
    NO_JOB,
    WITHDRAWN,
    dump,
    evaluations_of,
    job_rows,
    load,
    load_mask,
    micros,
    models_of,
    revision,
)
from watson.storage.uncertainty import doubt
from watson.storage.wanted import Order, Wanted, area_of

__all__ = ["SqliteCatalogue"]

_TABLES = ("jobs", "job_counts", "images", "masks", "dead_letters", "models", "evaluations")
_LETTERS = "SELECT event, resolved FROM dead_letters WHERE job = ? AND id > ? ORDER BY id LIMIT ?"
_LETTER = "SELECT event, resolved FROM dead_letters WHERE job = ? AND id = ?"
_LETTERS_OF = "SELECT event, resolved FROM dead_letters WHERE reason = ? AND job = ? AND id > ? ORDER BY id LIMIT ?"
_PUT_IMAGE = (
    "INSERT INTO images (job, image_key, revision, event, uncertainty, masks) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET revision = excluded.revision, event = excluded.event, "
    "uncertainty = excluded.uncertainty, masks = excluded.masks WHERE excluded.revision >= revision"
)
_PUT_MASK = (
    "INSERT OR REPLACE INTO masks (job, category, image_key, mask_index, mask, score, area) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_PUT_MODEL = (
    "INSERT INTO models (name, model_version, revision, event) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "revision = excluded.revision, event = excluded.event WHERE excluded.revision >= revision"
)


class SqliteCatalogue:
    """Implements `watson.storage.catalogue.Catalogue`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: SqliteWriter | None = None
        self._readers: SqliteReaders | None = None

    async def open(self) -> None:
        """Check the schema. Connections are made when they are needed.

        Raises:
            UserError: there is no such file, or it has another schema: says to run `watson catalogue migrate`.
        """
        await asyncio.to_thread(check_file, self._path)
        self._writer = SqliteWriter(self._path)
        self._readers = SqliteReaders(self._path)

    async def close(self) -> None:
        """Finish what is being written and read; no harm in closing twice."""
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if writer is not None:
            await writer.close()
        if readers is not None:
            await readers.close()

    async def migrate(self) -> list[str]:
        """Make the file and its tables; returns the names of the steps done."""
        return await asyncio.to_thread(migrate_file, self._path)

    async def wipe(self) -> None:
        """Empty all tables but the schema's own."""

        def delete(db: sqlite3.Connection) -> None:
            for table in _TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the constant above

        await self._write(delete)

    # ------------------------------------------------------------------ written by the projection
    async def put_job(self, event: JobChanged) -> None:
        """The job's state and settings."""
        await self._upsert(
            "INSERT INTO jobs (job, revision, event) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
            "revision = excluded.revision, event = excluded.event WHERE excluded.revision >= coalesce(revision, x'')",
            (event.job, *_revised(event)),
        )

    async def put_submitted(self, job: str, time: datetime, *, at: datetime | None = None) -> None:  # noqa: ARG002 - no row outlives its deletion here
        """When the job's manifest was submitted."""
        await self._upsert(
            "INSERT INTO jobs (job, submitted_at) VALUES (?, ?) ON CONFLICT DO UPDATE SET "
            "submitted_at = max(excluded.submitted_at, coalesce(submitted_at, excluded.submitted_at))",
            (job, micros(time)),
        )

    async def put_count(self, count: StageCount) -> None:
        """An absolute count; of two with the same time the greater one stays."""
        await self._upsert(
            "INSERT INTO job_counts (job, stage, partition, time, count) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET time = excluded.time, count = excluded.count "
            "WHERE (excluded.time, excluded.count) >= (time, count)",
            (count.job, count.stage, count.partition, micros(count.time), count.count),
        )

    async def put_image(self, event: ImageCatalogued, *, at: datetime | None = None) -> None:  # noqa: ARG002 - equal revisions are written again
        """A catalogued image and its masks; those of an older event of the same image go."""
        key = event.image_key.bytes
        version, text = _revised(event)

        def put(db: sqlite3.Connection) -> None:
            values = (event.job, key, version, text, doubt(event).value, len(event.masks))
            if db.execute(_PUT_IMAGE, values).rowcount:
                db.execute("DELETE FROM masks WHERE job = ? AND image_key = ?", (event.job, key))
                db.executemany(
                    _PUT_MASK,
                    (
                        (event.job, m.category, key, m.index, m.model_dump_json(), m.score, area_of(event, m))
                        for m in event.masks
                    ),
                )

        await self._write(put)

    async def put_dead_letter(self, event: ImageQuarantined, *, resolved: bool, at: datetime | None = None) -> None:
        """A quarantined image or undecodable event; of two with the same time a resolved one stays."""
        text = dump(event)
        version = revision(at or event.time, text)
        await self._upsert(
            "INSERT INTO dead_letters (job, id, reason, resolved, revision, event) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET reason = excluded.reason, resolved = excluded.resolved, "
            "revision = excluded.revision, event = excluded.event "
            # the first 8 bytes of a revision are the time, the rest is the tie-break after resolved
            "WHERE (substr(excluded.revision, 1, 8), excluded.resolved, excluded.revision) "
            ">= (substr(revision, 1, 8), resolved, revision)",
            (event.job or NO_JOB, event.id.bytes, event.reason.value, resolved, version, text),
        )

    async def put_model(self, event: ModelRegistered, *, at: datetime | None = None) -> None:  # noqa: ARG002 - as put_image
        """A model version."""
        await self._upsert(_PUT_MODEL, (event.name, event.model_version, *_revised(event)))

    async def put_model_withdrawn(self, event: ModelWithdrawn, *, at: datetime | None = None) -> None:  # noqa: ARG002 - as put_image
        """A model version is no longer listed; of two writes of one time the model stays."""
        least = revision(event.time, "")[:8]  # sorts before any revision of this time
        await self._upsert(_PUT_MODEL, (event.name, event.model_version, least, WITHDRAWN))

    async def put_evaluation(self, event: ModelEvaluated, *, at: datetime | None = None) -> None:  # noqa: ARG002 - as put_image
        """How a model version did on a dataset."""
        await self._upsert(
            "INSERT INTO evaluations (name, model_version, dataset, revision, event) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET revision = excluded.revision, event = excluded.event "
            "WHERE excluded.revision >= revision",
            (event.name, event.model_version, event.dataset, *_revised(event)),
        )

    # ------------------------------------------------------------------ asked by people
    async def jobs(self) -> list[JobRow]:
        """All jobs, newest submission first."""
        return await self._reading.read(_jobs)

    async def job(self, job: str) -> JobRow | None:
        """One job; None where it is unknown."""
        return await self._reading.read(lambda db: _job(db, job))

    async def images(self, job: str, *, after: str | None = None, limit: int = 100) -> Page[ImageCatalogued]:
        """Catalogued images of a job, by image key."""
        check_limit(limit)
        start = position_of(Listing.IMAGES, after)

        def read(db: sqlite3.Connection) -> list[ImageCatalogued]:
            rows = db.execute(
                "SELECT event FROM images WHERE job = ? AND image_key > ? ORDER BY image_key LIMIT ?",
                (job, start.key.bytes if start else b"", limit + 1),
            )
            return [load(ImageCatalogued, text) for (text,) in rows]

        rows = await self._reading.read(read)
        return page_of(Listing.IMAGES, rows, limit, lambda event: Position(event.image_key))

    async def find(
        self, job: str, wanted: Wanted, *, order: Order = Order.KEY, after: str | None = None, limit: int = 100
    ) -> Found:
        """Images of a job that are wanted; `watson.storage.sqlite_find` says how far one answer looks."""
        check_limit(limit)
        if order is Order.UNCERTAINTY:
            rank = rank_of(after)
            return await self._reading.read(lambda db: find_by_uncertainty(db, job, wanted, rank, limit))
        start = position_of(Listing.IMAGES, after)
        return await self._reading.read(lambda db: find_by_key(db, job, wanted, start, limit))

    async def image(self, job: str, image_key: UUID) -> ImageCatalogued | None:
        """One catalogued image; None where there is none."""
        query = "SELECT event FROM images WHERE job = ? AND image_key = ?"
        row = await self._reading.read(lambda db: db.execute(query, (job, image_key.bytes)).fetchone())
        return load(ImageCatalogued, row[0]) if row else None

    async def masks(self, job: str, category: str, *, after: str | None = None, limit: int = 100) -> Page[MaskRow]:
        """Masks of one category, by image key and place in the image."""
        check_limit(limit)
        start = position_of(Listing.MASKS, after)
        after_key = (start.key.bytes, start.place) if start else (b"", 0)

        def read(db: sqlite3.Connection) -> list[MaskRow]:
            rows = db.execute(
                "SELECT image_key, mask FROM masks WHERE job = ? AND category = ? "
                "AND (image_key, mask_index) > (?, ?) ORDER BY image_key, mask_index LIMIT ?",
                (job, category, *after_key, limit + 1),
            )
            return [MaskRow(job=job, image_key=UUID(bytes=key), mask=load_mask(mask)) for key, mask in rows]

        rows = await self._reading.read(read)
        return page_of(Listing.MASKS, rows, limit, lambda row: Position(row.image_key, row.mask.index))

    async def categories(self, job: str) -> dict[str, int]:
        """Number of masks by category name."""
        query = "SELECT category, count(*) FROM masks WHERE job = ? GROUP BY category"
        return dict(await self._reading.read(lambda db: db.execute(query, (job,)).fetchall()))

    async def mask_rows(self, job: str) -> AsyncIterator[list[MaskRow]]:
        """Every mask row of a job."""
        start = 0
        while rows := await self._reading.read(partial(_mask_rows, job=job, start=start)):
            yield [MaskRow(job=job, image_key=UUID(bytes=key), mask=load_mask(mask)) for _, key, mask in rows]
            start = rows[-1][0]

    async def dead_letters(
        self, job: str | None, *, reason: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[DeadLetterRow]:
        """Dead letters of a job, by event id; with ``job`` None, those that belong to no job."""
        check_limit(limit)
        start = position_of(Listing.DEAD_LETTERS, after)
        wanted = (job or NO_JOB, start.key.bytes if start else b"", limit + 1)

        def read(db: sqlite3.Connection) -> list[DeadLetterRow]:
            rows = db.execute(_LETTERS, wanted) if reason is None else db.execute(_LETTERS_OF, (reason, *wanted))
            return [_dead_letter(text, done) for text, done in rows]

        rows = await self._reading.read(read)
        return page_of(Listing.DEAD_LETTERS, rows, limit, lambda row: Position(row.event.id))

    async def dead_letter(self, job: str | None, letter: UUID) -> DeadLetterRow | None:
        """One dead letter by its event's id."""
        rows = await self._reading.read(lambda db: db.execute(_LETTER, (job or NO_JOB, letter.bytes)).fetchall())
        return _dead_letter(*rows[0]) if rows else None

    async def models(self) -> Sequence[ModelRegistered]:
        """All model versions that were not withdrawn, by name and time."""
        rows = await self._reading.read(lambda db: db.execute("SELECT event FROM models").fetchall())
        return models_of(text for (text,) in rows)

    async def evaluations(self) -> Sequence[ModelEvaluated]:
        """All evaluations, by name, time and dataset."""
        rows = await self._reading.read(lambda db: db.execute("SELECT event FROM evaluations").fetchall())
        return evaluations_of(text for (text,) in rows)

    async def datasets(self) -> dict[str, list[str]]:
        """Dataset name → its jobs, newest first."""
        datasets: dict[str, list[str]] = defaultdict(list)
        for row in await self.jobs():
            datasets[row.job.dataset].append(row.job.job)
        return dict(sorted(datasets.items()))

    # ------------------------------------------------------------------ connections
    @property
    def _reading(self) -> SqliteReaders:
        if self._readers is None:
            raise RuntimeError(f"catalogue sqlite:{self._path} is not open")
        return self._readers

    async def _write(self, operation: Operation) -> None:
        if self._writer is None:
            raise RuntimeError(f"catalogue sqlite:{self._path} is not open")
        await self._writer.write(operation)

    async def _upsert(self, statement: str, values: tuple[object, ...]) -> None:
        await self._write(lambda db: _execute(db, statement, values))


def _execute(db: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    db.execute(statement, values)


def _revised(event: JobChanged | ImageCatalogued | ModelRegistered | ModelEvaluated) -> tuple[bytes, str]:
    text = dump(event)
    return revision(event.time, text), text


def _dead_letter(text: str, done: object) -> DeadLetterRow:
    return DeadLetterRow(event=load(ImageQuarantined, text), resolved=bool(done))


def _mask_rows(db: sqlite3.Connection, job: str, start: int) -> list[tuple[int, bytes, str]]:
    query = "SELECT rowid, image_key, mask FROM masks WHERE job = ? AND rowid > ? ORDER BY rowid LIMIT 1000"
    return db.execute(query, (job, start)).fetchall()


def _jobs(db: sqlite3.Connection) -> list[JobRow]:
    jobs = db.execute("SELECT event, submitted_at FROM jobs WHERE event IS NOT NULL").fetchall()
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for job, stage, count in db.execute("SELECT job, stage, sum(count) FROM job_counts GROUP BY job, stage"):
        counts[job][stage] = count
    return job_rows(jobs, counts)


def _job(db: sqlite3.Connection, job: str) -> JobRow | None:
    row = db.execute("SELECT event, submitted_at FROM jobs WHERE job = ? AND event IS NOT NULL", (job,)).fetchone()
    if row is None:
        return None
    counts = dict(db.execute("SELECT stage, sum(count) FROM job_counts WHERE job = ? GROUP BY stage", (job,)))
    return job_rows([row], {job: counts})[0]
