"""project: reads every topic, materialises jobs, images, masks, models, dead letters and counts.

Emits nothing but the dead letters of records that only it reads and cannot decode.

A redelivery upserts the same rows again and counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from watson import metrics
from watson.agents.attempts import Attempts, Failure
from watson.agents.deliveries import deliveries, input_topic
from watson.agents.loop import Loop
from watson.agents.ports import Outbox
from watson.agents.quarantine import quarantine_undecodable
from watson.agents.role import RoleApp
from watson.agents.topics import INPUTS
from watson.agents.turns import Turns
from watson.errors import Refused, WatsonError
from watson.events import Event, Record
from watson.settings import Settings
from watson.stages.project import Projector
from watson.storage.catalogue import Catalogue
from watson.storage.connect_catalogue import catalogue
from watson.storage.measured import measured

__all__ = ["build"]

Result = TypeVar("Result")
log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.5
"""Counts are written this often where they changed."""

_READ_FIRST_HERE = frozenset({"catalogued", "jobs", "models", "trainings"})
"""Topics whose undecodable records no other role sends to the dead letters."""


class CatalogueAwayError(WatsonError):
    """The catalogue stayed away for longer than the tries last: the worker ends, and what it has not done waits."""


class _Project:
    """The projector behind retries, one event of a key at a time."""

    def __init__(self, app: RoleApp, rows: Catalogue, settings: Settings) -> None:
        self._projector = Projector(rows, app.mark_table("marks", source="image-discovered"))
        self._outbox = Outbox(app, "project", settings.topic_prefix, settings.partitions)
        self._attempts = Attempts.of("project", settings)
        app.ends_by_itself = self._attempts.busy
        self._turns = Turns()

    async def handle(self, record: Record, event: Event) -> str:
        async def apply() -> str:
            async with self._turns.of(event.key):
                return await self._projector.apply(record, event)

        return await self._insist(apply)

    async def undecodable(self, record: Record, refused: Refused) -> str:
        if record.topic in _READ_FIRST_HERE:
            return await quarantine_undecodable(self._outbox, record, "project", refused)
        log.warning("undecodable record", why=str(refused))
        return "undecodable"

    async def partitions_ready(self, assigned: set[int], revoked: set[int]) -> None:
        for partition in revoked:
            self._projector.revoke(partition)
        for partition in assigned:
            await self._projector.assign(partition)

    async def flush(self) -> None:
        await self._insist(self._projector.flush)

    async def _insist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """A row is never given up: after the last try the worker ends, and begins again where it was."""
        result = await self._attempts.run(work)
        if isinstance(result, Failure):
            raise CatalogueAwayError(f"{result.code}: {result.message} ({result.attempts} tries)")
        return result


def build(settings: Settings) -> RoleApp:
    """The project worker's app."""
    app = RoleApp("project", settings)
    rows = measured(catalogue(settings), metrics.CATALOGUE_SECONDS)
    role = _Project(app, rows, settings)
    loop = Loop("project", role.handle, role.undecodable, settings.window)

    @app.agent(input_topic(app, settings.topic_prefix, INPUTS["project"]), name="project")  # type: ignore[untyped-decorator]
    async def consume(stream: Any) -> None:
        await loop.consume(deliveries(stream, settings.topic_prefix))

    app.on_partitions_ready(role.partitions_ready)
    app.add_resource(rows.open, rows.close)
    app.every(FLUSH_SECONDS, role.flush)
    return app
