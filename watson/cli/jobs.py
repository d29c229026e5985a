"""``status`` and ``jobs``: look at jobs, and cancel them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from watson.cli.help import add
from watson.cli.options import Job, Json
from watson.cli.printing import one_line, print_json, print_rows
from watson.cli.session import command_settings, in_loop, job_or_error, open_catalogue
from watson.events import JobCancelled
from watson.storage.catalogue import JobRow

__all__ = ["register"]

_COLUMNS = ("job", "dataset", "state", "discovered", "catalogued", "quarantined", "model", "submitted")
_PATIENCE_SECONDS = 5.0


def _status(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow/--once", help="Until the job has ended, or print once.")] = True,
    as_json: Json = False,
) -> None:
    """Show a job's progress until it has ended.

    In a terminal a bar for each stage, with rate and time left; elsewhere a line every few seconds. --json prints
    once. Ends with 1 if the job failed or was cancelled.

    Examples:
      watson status street-1a2b3c4d
      watson status street-1a2b3c4d --json
    """

    async def show() -> JobRow:
        async with open_catalogue(command_settings()) as rows:
            waits = follow and not as_json
            row = await job_or_error(rows, job, patience=_PATIENCE_SECONDS if waits else 0.0)
            if as_json:
                print_json(_row_json(row))
                return row
            from watson.embedded.progress import follow as follow_job  # noqa: PLC0415 - not needed for --json

            return await follow_job(rows, job, Console(emoji=False), until_complete=follow)

    row = in_loop(show())
    if row.job.state in ("failed", "cancelled"):
        typer.echo(f"watson: job {job} {_ended(row)}", err=True)
        raise typer.Exit(1)


def _ended(row: JobRow) -> str:
    if row.job.state == "cancelled":
        return "was cancelled"
    return f"failed: {one_line(row.job.message) or 'no reason given'}"


def _row_json(row: JobRow) -> dict[str, object]:
    return {
        "job": row.job.job,
        "dataset": row.job.dataset,
        "source": row.job.source.model_dump(),
        "model": row.job.model,
        "state": row.job.state,
        "message": row.job.message,
        "listed": row.job.listed,
        "submitted_at": row.submitted_at.isoformat(),
        "counts": row.counts,
    }


def _list(as_json: Json = False) -> None:
    """List all jobs, newest first.

    Examples:
      watson jobs list
      watson jobs list --json
    """

    async def rows() -> list[JobRow]:
        async with open_catalogue(command_settings()) as catalogue:
            return await catalogue.jobs()

    found = in_loop(rows())
    if as_json:
        print_json([_row_json(row) for row in found])
    elif found:
        print_rows(_COLUMNS, map(_cells, found))
    else:
        typer.echo("no jobs yet: watson submit --help", err=True)


def _cells(row: JobRow) -> list[object]:
    counts = [row.counts.get(name, 0) for name in _COLUMNS[3:6]]
    submitted = row.submitted_at.strftime("%Y-%m-%dT%H:%M")
    return [row.job.job, row.job.dataset, row.job.state, *counts, row.job.model, submitted]


def _cancel(job: Job) -> None:
    """Cancel a job: discover no further pictures.

    Those in flight still end, and what is catalogued stays.

    Example:
      watson jobs cancel street-1a2b3c4d
    """
    from watson.agents.publish import publish  # noqa: PLC0415 - aiokafka only where it is used
    from watson.agents.topics import verify_topics  # noqa: PLC0415 - see above

    async def cancel() -> None:
        settings = command_settings()
        async with open_catalogue(settings) as rows:
            row = await job_or_error(rows, job)
        if row.job.state in ("complete", "failed", "cancelled"):
            typer.echo(f"job {job} has ended already: it is {row.job.state}")
            return
        await verify_topics(settings, [settings.topic(JobCancelled.topic)])
        await publish(settings, [JobCancelled(job=job)])
        typer.echo(f"cancelling job {job}")

    in_loop(cancel())


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "status", _status)
    jobs = typer.Typer(help="List and cancel jobs.", no_args_is_help=True)
    add(jobs, "list", _list)
    add(jobs, "cancel", _cancel)
    app.add_typer(jobs, name="jobs")
