"""``status`` and ``jobs``: look at jobs; pause, resume and cancel them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from watson.cli.help import add
from watson.cli.options import Job, Json
from watson.cli.printing import one_line, print_json, print_rows
from watson.cli.session import command_settings, in_loop, job_or_error, open_catalogue
from watson.storage.catalogue import JobRow

__all__ = ["register"]

_COLUMNS = ("job", "dataset", "state", "discovered", "catalogued", "quarantined", "model", "submitted")
_PATIENCE_SECONDS = 5.0
_OBEYED_SECONDS = 20.0


def _status(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow/--once", help="Until the job has ended, or print once.")] = True,
    as_json: Json = False,
) -> None:
    """Show a job's progress until it has ended.

    In a terminal a bar for each stage, with rate and time left; elsewhere a line every few seconds. --json prints
    once. Ends with 1 if the job failed, was cancelled or is paused.

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
    if row.job.state in ("failed", "cancelled", "paused"):
        typer.echo(f"watson: job {job} {_why(row)}", err=True)
        raise typer.Exit(1)


def _why(row: JobRow) -> str:
    if row.job.state == "cancelled":
        return "was cancelled"
    said = "is paused" if row.job.state == "paused" else "failed"
    return f"{said}: {one_line(row.job.message) or 'no reason given'}"


def _row_json(row: JobRow) -> dict[str, object]:
    return {
        "job": row.job.job,
        "dataset": row.job.dataset,
        "source": row.job.source.model_dump(),
        "model": row.job.model,
        "state": row.job.state,
        "message": row.job.message,
        "listed": row.job.listed,
        "resumes": row.job.resumes,
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

    async def cancel() -> str:
        from watson.actions import jobs  # noqa: PLC0415 - aiokafka only where it is used

        settings = command_settings()
        async with open_catalogue(settings) as rows:
            row = await job_or_error(rows, job)
        return (await jobs.cancel(settings, row)).said

    typer.echo(in_loop(cancel()))


def _pause(job: Job) -> None:
    """Pause a job: discover no further pictures until it is resumed.

    Those in flight still end.

    Example:
      watson jobs pause street-1a2b3c4d
    """

    async def pause() -> str:
        from watson.actions import jobs  # noqa: PLC0415 - aiokafka only where it is used

        settings = command_settings()
        async with open_catalogue(settings) as rows:
            before = await job_or_error(rows, job)
            return (await jobs.pause(settings, rows, before, patience=_OBEYED_SECONDS)).said

    typer.echo(in_loop(pause()))


def _resume(
    job: Job,
    retry: Annotated[
        bool, typer.Option("--retry/--no-retry", help="Try again what failed through no fault of the picture.")
    ] = True,
) -> None:
    """Let a paused job go on from where it stands.

    Do so once the cause is removed: `watson status JOB` shows why it was paused. Its pictures that were quarantined
    for a reason that accuses the deployment, not the picture (docs/reason-codes.md), are tried again. A job that is
    not paused is left as it is.

    Examples:
      watson jobs resume street-1a2b3c4d
      watson jobs resume street-1a2b3c4d --no-retry
    """

    async def resume() -> str:
        from watson.actions import jobs  # noqa: PLC0415 - aiokafka only where it is used

        settings = command_settings()
        async with open_catalogue(settings) as rows:
            before = await job_or_error(rows, job)
            return (await jobs.resume(settings, rows, before, retry=retry, patience=_OBEYED_SECONDS)).said

    typer.echo(in_loop(resume()))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "status", _status)
    jobs = typer.Typer(help="List, pause, resume and cancel jobs.", no_args_is_help=True)
    add(jobs, "list", _list)
    add(jobs, "pause", _pause)
    add(jobs, "resume", _resume)
    add(jobs, "cancel", _cancel)
    app.add_typer(jobs, name="jobs")
