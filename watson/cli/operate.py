"""``worker``, ``topics``, ``catalogue``, ``project``: run it and keep it right."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from watson.cli.help import add
from watson.cli.session import command_settings, in_loop, open_catalogue
from watson.settings import Settings, load_settings

__all__ = ["register"]

_NOTICE_SECONDS = 5.0


def _worker(
    role: Annotated[
        str, typer.Argument(metavar="ROLE", help="discover, preprocess, segment, catalogue, project, train or web.")
    ],
) -> None:
    r"""Work as one role until told to stop.

    SIGTERM and Ctrl-C stop it in order. Run as many workers of each role as there are partitions, at most.

    Example:
      WATSON_BROKERS=kafka:9092 WATSON_OBJECTS=s3://watson \
        watson worker segment
    """
    from watson.worker import run_worker  # noqa: PLC0415 - Faust only where it is used

    sys.exit(run_worker(role, load_settings()))


def _topics_create() -> None:
    """Create all topics that are missing.

    With the partitions and the retention of docs/events.md, and the changelogs of the tables. Waits for a broker that
    is not up yet for WATSON_BROKER_WAIT seconds.

    Example:
      WATSON_PARTITIONS=64 WATSON_REPLICATION=3 watson topics create
    """
    made = in_loop(_create(load_settings()))
    typer.echo("\n".join(f"created {name}" for name in made) if made else "all topics are there")


async def _create(settings: Settings) -> list[str]:
    from watson.agents.topics import create_topics  # noqa: PLC0415 - aiokafka only where it is used

    def say_that_it_waits() -> None:
        typer.echo(f"waiting for the broker at {settings.brokers}, {settings.broker_wait:g} s at most", err=True)

    notice = asyncio.get_running_loop().call_later(_NOTICE_SECONDS, say_that_it_waits)
    try:
        return await create_topics(settings)
    finally:
        notice.cancel()


def _catalogue_migrate() -> None:
    """Make the catalogue's schema, or bring it to this version's.

    Doing it twice does no harm.

    Example:
      WATSON_CATALOGUE=cassandra://cassandra:9042/watson watson catalogue migrate
    """
    from watson.storage.connect_catalogue import catalogue  # noqa: PLC0415 - the driver loads slowly

    async def migrate() -> list[str]:
        rows = catalogue(load_settings())
        try:
            return await rows.migrate()
        finally:
            await rows.close()

    steps = in_loop(migrate())
    typer.echo("\n".join(f"applied {step}" for step in steps) if steps else "the schema is up to date")


def _project_rebuild(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: the catalogue is emptied first.")] = False,
) -> None:
    """Empty the catalogue and make it anew from the log.

    Workers may keep running meanwhile. Nothing is emptied where the log cannot be read.

    Example:
      watson project rebuild --yes
    """
    from watson.rebuild import rebuild  # noqa: PLC0415 - aiokafka only where it is used

    settings = command_settings()
    if not yes:
        typer.confirm(f"Empty {settings.catalogue} and rebuild it from the log?", abort=True)

    async def work() -> int:
        async with open_catalogue(settings) as rows:
            return await rebuild(settings, rows, lambda part, n: typer.echo(f"partition {part}: {n} events", err=True))

    typer.echo(f"rebuilt from {in_loop(work())} events")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "worker", _worker)
    topics = typer.Typer(help="Create Kafka topics.", no_args_is_help=True)
    add(topics, "create", _topics_create)
    app.add_typer(topics, name="topics")
    catalogue = typer.Typer(help="Make or migrate the catalogue's schema.", no_args_is_help=True)
    add(catalogue, "migrate", _catalogue_migrate)
    app.add_typer(catalogue, name="catalogue")
    project = typer.Typer(help="Rebuild the catalogue from the log.", no_args_is_help=True)
    add(project, "rebuild", _project_rebuild)
    app.add_typer(project, name="project")
