"""``audit``: does a job's ledger close?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from watson.cli.help import add
from watson.cli.options import Job, Json
from watson.cli.printing import one_line, print_json
from watson.cli.session import command_settings, in_loop, open_catalogue, open_objects
from watson.settings import Settings

if TYPE_CHECKING:
    from watson.audit import Audit, Repair

__all__ = ["register"]


def _audit(
    job: Job,
    source: Annotated[bool, typer.Option("--source/--no-source", help="List the source again and compare.")] = True,
    repair: Annotated[bool, typer.Option("--repair", help="Send again what is lost, wait, and check again.")] = False,
    wait: Annotated[
        float,
        typer.Option("--wait", min=1, metavar="SECONDS", help="How long the line may take for what a repair sends it."),
    ] = 600.0,
    as_json: Json = False,
) -> None:
    """Check that a job's ledger closes.

    Source, log, object store and catalogue must agree, and every object have the hash that its event states. Prints
    each finding (docs/operations.md says what to do). Ends with 0 when nothing is off and the job is done, else with 1.
    Rows are compared once the job is done.

    With --repair, pictures, masks and rows that were lost or altered are made good through the running line: what
    the log says of them is sent again. Ends with 0 only if nothing is off after that.

    Examples:
      watson audit street-1a2b3c4d
      watson audit street-1a2b3c4d --repair
    """
    if repair:
        _repair(job, source, wait, as_json)
        return
    from watson.audit import audit  # noqa: PLC0415 - aiokafka only where it is used

    async def check(settings: Settings) -> Audit:
        async with open_catalogue(settings) as rows, open_objects(settings) as objects:
            return await audit(job, settings, rows, objects, source=source, say=_say)

    result = in_loop(check(command_settings()))
    if as_json:
        print_json(_json(result))
    else:
        _print(result)
    if not result.closed:
        raise typer.Exit(1)


def _repair(job: str, source: bool, wait: float, as_json: bool) -> None:
    from watson.audit import repair  # noqa: PLC0415 - see above

    async def work(settings: Settings) -> Repair:
        async with open_catalogue(settings) as rows, open_objects(settings) as objects:
            return await repair(job, settings, rows, objects, source=source, wait=wait, say=_say)

    done = in_loop(work(command_settings()))
    if as_json:
        remedies = [
            {"round": number, "kind": kind, "remedy": remedy.value, "times": times}
            for number, plan in enumerate(done.plans, 1)
            for (kind, remedy), times in sorted(plan.remedies.items())
        ]
        before = [asdict(finding) for finding in done.before.findings]
        print_json(_json(done.after) | {"repaired": remedies, "found_before": before, "notes": done.notes})
    else:
        for note in done.notes:
            _say(one_line(note))
        _print(done.after)
    if not done.after.closed:
        raise typer.Exit(1)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _json(result: Audit) -> dict[str, object]:
    return {name: getattr(result, name) for name in result.__slots__} | {"clean": result.clean, "closed": result.closed}


def _print(result: Audit) -> None:
    for finding in result.findings:
        typer.echo(f"{finding.kind}\t{finding.image_key or '-'}\t{one_line(finding.detail)}")
    typer.echo(
        f"{result.discovered} discovered = {result.catalogued} catalogued + {result.quarantined} quarantined"
        f" + {result.in_flight} in flight; {result.objects} objects checked; " + _verdict(result)
    )


def _verdict(result: Audit) -> str:
    if not result.clean:
        return f"{len(result.findings)} findings"
    if result.closed:
        return "nothing is off"
    unlisted = f", {result.unlisted} of its source are not listed" if result.unlisted else ""
    rows = ", and its rows were not compared" if result.running else ""
    return f"nothing is off, but the job is not done: it is {result.state}{unlisted}{rows}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "audit", _audit)
