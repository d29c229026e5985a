"""``dead-letters``: what was quarantined, and once more, please."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from watson.cli.help import add
from watson.cli.options import Json, MaybeJob, Reason
from watson.cli.printing import print_json, print_rows
from watson.cli.session import command_settings, in_loop, job_or_error, open_catalogue
from watson.errors import ReasonCode, UserError
from watson.events import REDRIVE, RETRY, FailedRecord
from watson.settings import Settings
from watson.storage.catalogue import Catalogue, DeadLetterRow

__all__ = ["register", "to_retry"]

_PAGE = 500
_AT_ONCE = 100
"""Records read whole and sent before the next are: each may have a megabyte."""
_LOST_NAMED = 5
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
    from watson.agents.publish import resend  # noqa: PLC0415 - aiokafka only where it is used
    from watson.agents.topics import verify_topics  # noqa: PLC0415 - see above
    from watson.agents.whole_records import whole_records  # noqa: PLC0415 - see above

    async def retry() -> tuple[int, list[str]]:
        settings = command_settings()
        chosen = to_retry(await _read(settings, job, reason, None), image, most)
        if chosen:
            await verify_topics(settings, {settings.topic(record.topic) for record in chosen})
        lost: list[str] = []
        for start in range(0, len(chosen), _AT_ONCE):
            whole, not_there = await whole_records(settings, chosen[start : start + _AT_ONCE])
            await resend(settings, whole, {REDRIVE: RETRY})
            lost += not_there
        return len(chosen) - len(lost), lost

    sent, lost = in_loop(retry())
    typer.echo(f"sent {sent} again")
    if lost:
        named = "; ".join(lost[:_LOST_NAMED]) + ("; …" if len(lost) > _LOST_NAMED else "")
        raise UserError(f"{len(lost)} could not be sent: {named}. Submit their pictures in another job.")


def to_retry(letters: list[DeadLetterRow], image: UUID | None, most: int) -> list[FailedRecord]:
    """The failed records to send again: those of open letters, each once.

    A record with neither key nor value is left out: nobody can send one, and it would keep the others from being sent.
    """
    chosen: dict[tuple[object, ...], FailedRecord] = {}
    for row in letters:
        record = row.event.failed
        wanted = not row.resolved and image in (None, row.event.image_key)
        if wanted and (record.key, record.value) != (None, None) and len(chosen) < most:
            # with its content: discover cannot tell where the events of images that vanished stand in the log
            chosen.setdefault((record.topic, record.partition, record.offset, record.key, record.value), record)
    return list(chosen.values())


async def _read(settings: Settings, job: str | None, reason: str | None, most: int | None) -> list[DeadLetterRow]:
    if reason is not None and reason not in set(ReasonCode):
        raise UserError(f"there is no reason {reason!r}; the reasons are {', '.join(sorted(ReasonCode))}")
    async with open_catalogue(settings) as rows:
        found = await _letters(rows, job, reason, most)
        if not found and job is not None:  # a manifest that was refused leaves a letter, and no job
            await job_or_error(rows, job)
        return found


async def _letters(rows: Catalogue, job: str | None, reason: str | None, most: int | None) -> list[DeadLetterRow]:
    found: list[DeadLetterRow] = []
    cursor: str | None = None
    while True:
        left = _PAGE if most is None else min(_PAGE, most - len(found))
        page = await rows.dead_letters(job, reason=reason, after=cursor, limit=left)
        found += page.items
        cursor = page.cursor
        if cursor is None or (most is not None and len(found) >= most):
            return found


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(help="List and retry what was quarantined.", no_args_is_help=True)
    add(letters, "list", _list)
    add(letters, "retry", _retry)
    app.add_typer(letters, name="dead-letters")
