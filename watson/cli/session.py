"""What most commands need: settings, an open catalogue, an open object store, and an event loop to run in."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
import typer

from watson.errors import UserError
from watson.events import Event
from watson.settings import Settings, load_settings
from watson.storage.catalogue import Catalogue, JobRow
from watson.storage.objects import ObjectStore

__all__ = [
    "command_settings",
    "in_loop",
    "job_or_error",
    "open_catalogue",
    "open_objects",
    "publish_event",
    "warn_unfinished",
]

BROKER_SECONDS = 6.0
"""How long a command tries a broker that is away: somebody waits at a terminal. Workers have WATSON_BROKER_WAIT."""

_LIBRARIES = ("aiokafka", "cassandra", "aiobotocore", "botocore")
_POLL_SECONDS = 0.25
_JOBS_NAMED = 10

Result = TypeVar("Result")


def in_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine; Ctrl-C ends it with exit code 130."""
    _quiet()
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        typer.echo("watson: interrupted", err=True)
        raise typer.Exit(130) from None


def _quiet() -> None:
    """No log lines between a command's own: what they would tell is in the error that it ends with."""
    for name in _LIBRARIES:
        logging.getLogger(name).addHandler(logging.NullHandler())
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def command_settings() -> Settings:
    """Settings of the environment, with a person's patience.

    Raises:
        UserError: names each wrong variable.
    """
    settings = load_settings()
    return settings.model_copy(update={"broker_wait": min(settings.broker_wait, BROKER_SECONDS)})


@asynccontextmanager
async def open_catalogue(settings: Settings) -> AsyncIterator[Catalogue]:
    """The catalogue of the settings, open."""
    from watson.storage.connect_catalogue import catalogue  # noqa: PLC0415 - Cassandra's driver loads slowly

    rows = catalogue(settings)
    await rows.open()
    try:
        yield rows
    finally:
        await rows.close()


@asynccontextmanager
async def open_objects(settings: Settings) -> AsyncIterator[ObjectStore]:
    """The object store of the settings, open."""
    from watson.storage.connect_objects import opened_object_store  # noqa: PLC0415 - boto loads slowly

    async with opened_object_store(settings) as objects:
        yield objects


async def publish_event(settings: Settings, event: Event) -> None:
    """Send one event, once its topic is seen to be as the settings say.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
        UserError: its topic is missing, or not that of the settings.
    """
    from watson.actions.sending import send  # noqa: PLC0415 - aiokafka only where it is used

    await send(settings, event)


async def job_or_error(rows: Catalogue, job: str, *, patience: float = 0.0) -> JobRow:
    """The job's row.

    Args:
        rows: open.
        job: its id.
        patience: seconds to wait for it: a job that was submitted just now is not in the catalogue at once.

    Raises:
        UserError: there is none; names the newest of those that there are.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + patience
    while (row := await rows.job(job)) is None and clock() < end:  # noqa: ASYNC110 - another process writes the row
        await asyncio.sleep(_POLL_SECONDS)
    if row is not None:
        return row
    known = [other.job.job for other in await rows.jobs()]
    named = ", ".join(known[:_JOBS_NAMED]) + (", …" if len(known) > _JOBS_NAMED else "")
    for letter in (await rows.dead_letters(job, limit=1)).items:  # of a manifest that was refused
        why = f"{letter.event.reason}: {letter.event.message}"
        raise UserError(
            f"there is no job {job!r}, but a dead letter of it: {why} (watson dead-letters list --job {job})"
        )
    raise UserError(f"there is no job {job!r} in the catalogue; known: {named or 'none yet'}")


def warn_unfinished(row: JobRow, what: str = "this is the dataset as far as it is") -> None:
    """Say on standard error that a job is not done, and so that what follows is not the last word."""
    if row.job.state != "complete" or row.in_flight:
        flying = f", {row.in_flight} of its pictures are in flight" if row.in_flight else ""
        typer.echo(f"watson: job {row.job.job} is {row.job.state}{flying}: {what}", err=True)
