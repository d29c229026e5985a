"""The catalogue in Cassandra: tables by query, bounded partitions, every write at its event's time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from cassandra import InvalidRequest
from cassandra.query import SimpleStatement

from watson.errors import UserError
from watson.events import ImageCatalogued, ImageQuarantined, JobChanged, ModelEvaluated, ModelRegistered, ModelWithdrawn
from watson.settings import Settings
from watson.storage.cassandra_buckets import in_waves
from watson.storage.cassandra_cluster import cassandra_address
from watson.storage.cassandra_find import find_by_key, find_by_uncertainty
from watson.storage.cassandra_images import CassandraImages
from watson.storage.cassandra_letters import CassandraLetters
from watson.storage.cassandra_schema import STEPS_DONE, migrate_keyspace
from watson.storage.cassandra_session import CassandraSession
from watson.storage.cassandra_statements import SHARDS, TABLES, Cql, shard_of
from watson.storage.catalogue import DeadLetterRow, Found, JobRow, MaskRow, Page, StageCount
from watson.storage.cursors import Listing, Position, check_limit, page_of, position_of, rank_of
from watson.storage.schema_steps import check_schema, schema_steps
from watson.storage.stored import WITHDRAWN, dump, evaluations_of, job_rows, micros, models_of
from watson.storage.wanted import Order, Wanted

__all__ = ["CassandraCatalogue"]

_TRUNCATE_SECONDS = 90.0  # the server's own limit is 60


class _Opened:
    """What `CassandraCatalogue.open` makes."""

    def __init__(self, session: CassandraSession, prepared: dict[str, Any]) -> None:
        self.session = session
        self.prepared = prepared
        self.images = CassandraImages(session, prepared)
        self.letters = CassandraLetters(session, prepared)

    async def run(self, query: Cql, *values: object) -> list[Any]:
        return await self.session.execute(self.prepared[query], values)


class CassandraCatalogue:
    """Implements `watson.storage.catalogue.Catalogue`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._address = cassandra_address(settings.catalogue)
        self._opened: _Opened | None = None

    async def open(self) -> None:
        """Connect, check the schema, prepare all statements.

        Raises:
            UserError: no host answers, or the keyspace has another schema: says to run `watson catalogue migrate`.
        """
        session = await CassandraSession.connect(self._settings, self._address)
        try:
            await self._check_schema(session)
            self._opened = _Opened(session, await session.prepare(list(Cql)))
        except BaseException:
            await session.close()
            raise

    async def close(self) -> None:
        """Close all connections; no harm in closing twice."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.session.close()

    async def migrate(self) -> list[str]:
        """Make the keyspace and the tables; returns the names of the steps done."""
        return await asyncio.to_thread(migrate_keyspace, self._settings, self._address)

    async def wipe(self) -> None:
        """Truncate all tables but the schema's own. All nodes must be up, and no projection may write meanwhile.

        Not deleted row by row: deletions made now would hide the older timestamps of the replayed events.
        """
        for table in TABLES:
            statement = SimpleStatement(f"TRUNCATE {table}", is_idempotent=True)
            await self._db.session.execute(statement, seconds=_TRUNCATE_SECONDS)

    # ------------------------------------------------------------------ written by the projection
    async def put_job(self, event: JobChanged) -> None:
        """The job's state and settings."""
        await self._db.run(Cql.PUT_JOB, micros(event.time), dump(event), shard_of(event.job), event.job)

    async def put_submitted(self, job: str, time: datetime, *, at: datetime | None = None) -> None:
        """When the job's manifest was submitted."""
        await self._db.run(Cql.PUT_SUBMITTED, micros(at or time), micros(time), shard_of(job), job)

    async def put_count(self, count: StageCount) -> None:
        """An absolute count; of two with the same time Cassandra keeps the greater one."""
        await self._db.run(Cql.PUT_COUNT, micros(count.time), count.count, count.job, count.stage, count.partition)

    async def put_image(self, event: ImageCatalogued, *, at: datetime | None = None) -> None:
        """A catalogued image and its masks; those of an older event of the same image go."""
        await self._db.images.put(event, at)

    async def put_dead_letter(self, event: ImageQuarantined, *, resolved: bool, at: datetime | None = None) -> None:
        """A quarantined image or undecodable event; of two with the same time a resolved one stays."""
        await self._db.letters.put(event, resolved=resolved, at=at)

    async def put_model(self, event: ModelRegistered, *, at: datetime | None = None) -> None:
        """A model version."""
        place = (shard_of(event.name), event.name, event.model_version)
        await self._db.run(Cql.PUT_MODEL, micros(at or event.time), dump(event), *place)

    async def put_model_withdrawn(self, event: ModelWithdrawn, *, at: datetime | None = None) -> None:
        """A model version is no longer listed; of two writes of one time the greater text stays: the model."""
        place = (shard_of(event.name), event.name, event.model_version)
        await self._db.run(Cql.PUT_MODEL, micros(at or event.time), WITHDRAWN, *place)

    async def put_evaluation(self, event: ModelEvaluated, *, at: datetime | None = None) -> None:
        """How a model version did on a dataset."""
        place = (shard_of(event.name), event.name, event.model_version, event.dataset)
        await self._db.run(Cql.PUT_EVALUATION, micros(at or event.time), dump(event), *place)

    # ------------------------------------------------------------------ asked by people
    async def jobs(self) -> list[JobRow]:
        """All jobs, newest submission first."""
        shards = await in_waves(lambda shard: self._db.run(Cql.JOBS, shard), range(SHARDS))
        return await self._with_counts([row for rows in shards for row in rows])

    async def job(self, job: str) -> JobRow | None:
        """One job; None where it is unknown."""
        rows = await self._with_counts(await self._db.run(Cql.JOB, shard_of(job), job))
        return rows[0] if rows else None

    async def images(self, job: str, *, after: str | None = None, limit: int = 100) -> Page[ImageCatalogued]:
        """Catalogued images of a job, by image key."""
        check_limit(limit)
        rows = await self._db.images.page(job, position_of(Listing.IMAGES, after), limit + 1)
        return page_of(Listing.IMAGES, rows, limit, lambda event: Position(event.image_key))

    async def find(
        self, job: str, wanted: Wanted, *, order: Order = Order.KEY, after: str | None = None, limit: int = 100
    ) -> Found:
        """Images of a job that are wanted; `watson.storage.cassandra_find` says how far one answer looks."""
        check_limit(limit)
        images = self._db.images
        if order is Order.UNCERTAINTY:
            return await find_by_uncertainty(images, job, wanted, rank_of(after), limit)
        return await find_by_key(images, job, wanted, position_of(Listing.IMAGES, after), limit)

    async def image(self, job: str, image_key: UUID) -> ImageCatalogued | None:
        """One catalogued image; None where there is none."""
        return await self._db.images.one(job, image_key)

    async def masks(self, job: str, category: str, *, after: str | None = None, limit: int = 100) -> Page[MaskRow]:
        """Masks of one category, by image key and place in the image."""
        check_limit(limit)
        rows = await self._db.images.masks(job, category, position_of(Listing.MASKS, after), limit + 1)
        return page_of(Listing.MASKS, rows, limit, lambda row: Position(row.image_key, row.mask.index))

    async def categories(self, job: str) -> dict[str, int]:
        """Number of masks by category name; counted at each call (docs/catalogue.md says what that costs)."""
        return await self._db.images.categories(job)

    async def mask_rows(self, job: str) -> AsyncIterator[list[MaskRow]]:
        """Every mask row of a job, those of outdated revisions too."""
        async for rows in self._db.images.mask_rows(job):
            yield rows

    async def dead_letters(
        self, job: str | None, *, reason: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[DeadLetterRow]:
        """Dead letters of a job, by event id; with ``job`` None, those that belong to no job."""
        check_limit(limit)
        rows = await self._db.letters.page(job, reason, position_of(Listing.DEAD_LETTERS, after), limit + 1)
        return page_of(Listing.DEAD_LETTERS, rows, limit, lambda row: Position(row.event.id))

    async def dead_letter(self, job: str | None, letter: UUID) -> DeadLetterRow | None:
        """One dead letter by its event's id."""
        return await self._db.letters.one(job, letter)

    async def models(self) -> Sequence[ModelRegistered]:
        """All model versions that were not withdrawn, by name and time."""
        shards = await in_waves(lambda shard: self._db.run(Cql.MODELS, shard), range(SHARDS))
        return models_of(row.event for rows in shards for row in rows)

    async def evaluations(self) -> Sequence[ModelEvaluated]:
        """All evaluations, by name, time and dataset."""
        shards = await in_waves(lambda shard: self._db.run(Cql.EVALUATIONS, shard), range(SHARDS))
        return evaluations_of(row.event for rows in shards for row in rows)

    async def datasets(self) -> dict[str, list[str]]:
        """Dataset name → its jobs, newest first."""
        datasets: dict[str, list[str]] = defaultdict(list)
        for row in await self.jobs():
            datasets[row.job.dataset].append(row.job.job)
        return dict(sorted(datasets.items()))

    # ------------------------------------------------------------------
    @property
    def _db(self) -> _Opened:
        if self._opened is None:
            raise RuntimeError(f"catalogue {self._address} is not open")
        return self._opened

    async def _check_schema(self, session: CassandraSession) -> None:
        place = str(self._address)
        try:
            done = {row.step for row in await session.execute(STEPS_DONE)}
        except InvalidRequest as exc:  # the keyspace is there, its tables are not
            raise UserError(f"{place} has no tables yet: run `watson catalogue migrate`.") from exc
        check_schema(place, done, schema_steps("cql"))

    async def _with_counts(self, rows: list[Any]) -> list[JobRow]:
        known = [row for row in rows if row.event is not None]  # else only the submission is known yet
        counts = await in_waves(lambda row: self._db.run(Cql.COUNTS, row.job), known)
        by_job = {row.job: {part.stage: part.count for part in parts} for row, parts in zip(known, counts, strict=True)}
        return job_rows([(row.event, row.submitted_at) for row in known], by_job)
