"""discover: reads ``manifests``, lists sources, emits ``image-discovered`` and ``jobs``; follows images to their end.

Reads its own ``image-discovered`` and all that follows it, to know what is in flight: by that it meters each job's
credit, knows when a job is complete, and sends again what was lost on the way. A redelivered manifest starts nothing
twice; a redelivered image event changes nothing.
"""

from __future__ import annotations

from typing import Any

import structlog

from watson import metrics
from watson.agents.attempts import Underway
from watson.agents.deliveries import deliveries, input_topic
from watson.agents.jobs import FROM_THE_USER, JobBoard
from watson.agents.lister import Listings
from watson.agents.loop import Loop
from watson.agents.models import ModelResolver
from watson.agents.owners import next_owner
from watson.agents.ports import Outbox
from watson.agents.quarantine import quarantine_undecodable
from watson.agents.role import RoleApp
from watson.agents.topics import INPUTS
from watson.agents.tracker import CHECK_SECONDS, SAID_SECONDS, Tracker
from watson.errors import PartitionRevoked, Refused
from watson.events import Event, JobChanged, PartitionProgressed, Record, RetryRequested
from watson.settings import Settings

__all__ = ["build"]

log = structlog.get_logger(__name__)


class _Discover:
    """The parts of the role, and what each does with what arrives."""

    def __init__(self, app: RoleApp, settings: Settings) -> None:
        self._outbox = Outbox(app, "discover", settings.topic_prefix, settings.partitions)
        self.tracker = Tracker(app.mark_table("images", source="image-discovered"), self._outbox, settings)
        models = ModelResolver(settings)
        self._long = Underway()
        app.ends_by_itself = self._long.busy
        self._jobs = app.mark_table("jobs", source="jobs")
        self.board = JobBoard(self._jobs, self._outbox, models, settings)
        self.listings = Listings(self.board, self._outbox, settings, app.crash_soon)

    async def handle(self, record: Record, event: Event) -> str:
        if isinstance(event, RetryRequested):  # a partition's quarantined images, of which there may be any number
            with self._long.work():
                return await self.tracker.handle(record, event)
        if isinstance(event, FROM_THE_USER):  # a manifest's model is resolved: looked up, or read and hashed
            with self._long.work():
                return await self._obey(record, event)
        if isinstance(event, PartitionProgressed | JobChanged):
            return await self._obey(record, event)
        return await self.tracker.handle(record, event)

    async def _obey(self, record: Record, event: Event) -> str:
        try:
            return await self.board.handle(record, event)
        except Refused as refused:
            return await quarantine_undecodable(self._outbox, record, "discover", refused)

    async def undecodable(self, record: Record, refused: Refused) -> str:
        if record.topic == "manifests":
            return await quarantine_undecodable(self._outbox, record, "discover", refused)
        log.warning("undecodable record", why=str(refused))  # the stage that it is for sends it to the dead letters
        return "undecodable"

    async def partitions_ready(self, assigned: set[int], revoked: set[int]) -> None:
        for partition in revoked:
            self.tracker.revoke(partition)
            self.board.revoke(partition)
        self.listings.stop_strangers()
        try:
            for partition in assigned:
                owner = await next_owner(self._jobs, partition)
                await self.tracker.assign(partition, owner)
                self.board.assign(partition, owner)
        except PartitionRevoked as why:  # the next rebalance has begun; this is called again at its end
            log.debug("interrupted by a rebalance", why=str(why))

    async def repair_jobs(self) -> None:
        metrics.JOBS_IN_FLIGHT.set(sum(job.mark.moving for job in self.board.jobs.values()))
        for job in list(self.board.jobs.values()):
            await self.board.relist_if_lost(job)
            await self.board.ask_again_if_lost(job)

    async def nothing(self) -> None:
        """Nothing to open: a listing opens its source when it begins."""


def build(settings: Settings) -> RoleApp:
    """The discover worker's app."""
    app = RoleApp("discover", settings)
    role = _Discover(app, settings)
    loop = Loop("discover", role.handle, role.undecodable, settings.window)

    @app.agent(input_topic(app, settings.topic_prefix, INPUTS["discover"]), name="discover")  # type: ignore[untyped-decorator]
    async def consume(stream: Any) -> None:
        await loop.consume(deliveries(stream, settings.topic_prefix))

    app.on_partitions_ready(role.partitions_ready)
    app.every(SAID_SECONDS, role.tracker.say)
    app.every(CHECK_SECONDS, role.tracker.say_again)
    app.every(CHECK_SECONDS, role.tracker.redrive_overdue)
    app.every(CHECK_SECONDS, role.repair_jobs)
    app.add_resource(role.nothing, role.listings.close)
    return app
