"""``audit``: does a job's ledger close?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from watson.cli.help import add
from watson.cli.options import Job, Json
from watson.cli.printing import one_line, print_json
from watson.cli.session import command_settings, in_loop, open_catalogue, open_objects
from watson.settings import Settings

if TYPE_CHECKING:
    from watson.audit import Audit

__all__ = ["register"]


def _audit(
    job: Job,
    source: Annotated[bool, typer.Option("--source/--no-source", help="List the source again and compare.")] = True,
    as_json: Json = False,
) -> None:
    """Check that a job's ledger closes.

    Source, log, object store and catalogue must agree, and every object have the hash that its event states. Prints
    each finding (docs/operations.md says what to do) and ends with 0 when nothing is off, with 1 when something is.

    Example:
      watson audit street-1a2b3c4d
    """
    from watson.audit import audit  # noqa: PLC0415 - aiokafka only where it is used

    async def check(settings: Settings) -> Audit:
        async with open_catalogue(settings) as rows, open_objects(settings) as objects:
            return await audit(job, settings, rows, objects, source=source, say=lambda line: typer.echo(line, err=True))

    result = in_loop(check(command_settings()))
    if as_json:
        print_json({name: getattr(result, name) for name in result.__slots__} | {"clean": result.clean})
    else:
        _print(result)
    if not result.clean:
        raise typer.Exit(1)


def _print(result: Audit) -> None:
    for finding in result.findings:
        typer.echo(f"{finding.kind}\t{finding.image_key or '-'}\t{one_line(finding.detail)}")
    typer.echo(
        f"{result.discovered} discovered = {result.catalogued} catalogued + {result.quarantined} quarantined"
        f" + {result.in_flight} in flight; {result.objects} objects checked; "
        + ("nothing is off" if result.clean else f"{len(result.findings)} findings")
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "audit", _audit)
