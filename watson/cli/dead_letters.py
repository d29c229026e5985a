"""``dead-letters``: what was quarantined, and once more, please."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from watson.cli.help import add
from watson.cli.options import Json, MaybeJob, Reason
from watson.cli.printing import print_json, print_rows
from watson.cli.session import command_settings, in_loop, job_or_error, open_catalogue
from watson.errors import UserError
from watson.settings import Settings
from watson.storage.catalogue import Catalogue, DeadLetterRow
from watson.storage.every_letter import every_letter

if TYPE_CHECKING:
    from watson.actions.retry import Retried

__all__ = ["register"]

_COLUMNS = ("reason", "stage", "what", "message")


def _list(
    job: MaybeJob = None,
    reason: Reason = None,
    most: Annotated[int, typer.Option(min=1, metavar="ROWS", help="Rows at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List what was quarantined, and why.

    Examples:
      watson dead-letters list --job street-1a2b3c4d
      watson dead-letters list --job street-1a2b3c4d --reason truncated --json
    """
    found = in_loop(_read(command_settings(), job, reason, most + 1))
    shown = found[:most]
    if as_json:
        print_json([{**row.event.model_dump(mode="json"), "resolved": row.resolved} for row in shown])
    elif shown:
        print_rows(_COLUMNS, map(_cells, shown))
    else:
        typer.echo(_nothing(job, reason), err=True)
    if len(found) > most:
        typer.echo(f"there are more than {most}: --most shows more", err=True)


def _nothing(job: str | None, reason: str | None) -> str:
    because = f" as {reason}" if reason else ""
    if job is None:
        return f"nothing that belongs to no job is quarantined{because}; --job JOB lists what a job has"
    return f"nothing of job {job} is quarantined{because}"


def _cells(row: DeadLetterRow) -> list[object]:
    event = row.event
    failed = event.failed
    what = event.uri or f"{failed.topic}[{failed.partition}]@{'?' if failed.offset is None else failed.offset}"
    return [event.reason.value + (" (resolved)" if row.resolved else ""), event.stage, what, event.message]


def _retry(
    job: MaybeJob = None,
    reason: Reason = None,
    image: Annotated[UUID | None, typer.Option(metavar="KEY", help="Only the image of this key.")] = None,
    most: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="At most so many.")] = 100_000,
) -> None:
    """Send quarantined images round again.

    The failed event goes, byte for byte, to the topic where it failed. What was resolved meanwhile is left alone. What
    was too large for its letter is read from the log; where it is not there any more, the others are sent and this ends
    with 2.

    Example:
      watson dead-letters retry --job street-1a2b3c4d --reason store-unavailable
    """

    async def again() -> Retried:
        from watson.actions.retry import Choice, check_reason, retry  # noqa: PLC0415 - aiokafka only where it is used

        check_reason(reason)
        settings = command_settings()
        async with open_catalogue(settings) as rows:
            await _known(rows, job)
            return await retry(settings, rows, Choice(job, reason, image=image), most=most)

    done = in_loop(again())
    typer.echo(f"sent {done.sent} again")
    if done.lost:
        raise UserError(done.complaint())


async def _read(settings: Settings, job: str | None, reason: str | None, most: int) -> list[DeadLetterRow]:
    from watson.actions.retry import check_reason  # noqa: PLC0415 - aiokafka only where it is used

    check_reason(reason)
    found: list[DeadLetterRow] = []
    async with open_catalogue(settings) as rows:
        await _known(rows, job)
        async with aclosing(every_letter(rows, job, reason)) as all_:
            async for row in all_:
                found.append(row)
                if len(found) == most:
                    break
    return found


async def _known(rows: Catalogue, job: str | None) -> None:
    """See that there is the job, or a letter of it: a manifest that was refused leaves a letter, and no job."""
    if job is not None and not (await rows.dead_letters(job, limit=1)).items:
        await job_or_error(rows, job)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(help="List and retry what was quarantined.", no_args_is_help=True)
    add(letters, "list", _list)
    add(letters, "retry", _retry)
    app.add_typer(letters, name="dead-letters")
