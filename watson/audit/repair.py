"""``watson audit --repair``: sends again what an audit found to be lost, waits for the line, and audits once more.

What is sent are records of the log, byte for byte, with the header ``redrive: repair``. The line does the rest as it
does everything: the same ids, so nothing is counted twice; upserts, so two repairs at the same time do what one does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from watson.agents.publish import resend
from watson.audit.check import Say, audit_with_log
from watson.audit.ends import NotDoneInTimeError, until_worked_on
from watson.audit.findings import Audit
from watson.audit.log import JobLog
from watson.audit.plan import Plan, plan
from watson.audit.records import Records, find_records
from watson.events import REDRIVE, REPAIR
from watson.settings import Settings
from watson.storage.catalogue import Catalogue
from watson.storage.objects import ObjectStore

__all__ = ["Repair", "repair"]

_ROUNDS = 2
"""The second is for what the first brought to light, and for counts that saying them again did not put right."""

_AT_ONCE = 1000
"""Images done anew at the same time: a repair of millions leaves room in the line for other jobs."""

_COUNT_SECONDS = 5.0
"""The projection writes counts twice a second."""


@dataclass(slots=True)
class Repair:
    """What a repair did.

    Attributes:
        before: the audit that it began with.
        after: the one that it ended with.
        plans: what was sent, a plan a round.
        notes: what a person should know besides: pictures that have changed, a line that did not end in time.
    """

    before: Audit
    after: Audit
    plans: list[Plan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def repair(
    job: str,
    settings: Settings,
    catalogue: Catalogue,
    objects: ObjectStore,
    *,
    source: bool = True,
    wait: float = 600.0,
    say: Say = lambda _line: None,
) -> Repair:
    """Audit a job, and repair what can be repaired.

    Args:
        job: its id.
        settings: where everything is.
        catalogue: open.
        objects: open.
        source: whether the source is listed and compared too.
        wait: seconds in which the line is to be done with what was sent, a thousand images at a time.
        say: called with a line about what goes on.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log or the source cannot be read, or the topics are not as the settings say.
        Retriable: the store or the catalogue is away.
    """
    result, log = await audit_with_log(job, settings, catalogue, objects, source=source, say=say)
    first = log
    done = Repair(result, result)
    for number in range(_ROUNDS):
        letters = frozenset(letter.image_key for letter in log.letters.values() if letter.image_key is not None)
        made = plan(result.findings, letters, again=number > 0)
        for tried in done.plans:
            made.leave_out(tried)
        if not made:
            break
        done.plans.append(made)
        for (kind, remedy), times in sorted(made.remedies.items()):
            say(f"{kind}, {times} times: {remedy}")
        try:
            await _send(settings, await find_records(settings, made, log), wait, say)
        except NotDoneInTimeError as late:
            done.notes.append(f"not done within {wait:g} s: {late} Run it again to go on.")
        result, log = await audit_with_log(
            job, settings, catalogue, objects, source=source, say=say, patience=_COUNT_SECONDS
        )
        if done.notes:
            break
    done.after = result
    done.notes += _changed(first, log)
    return done


async def _send(settings: Settings, records: Records, wait: float, say: Say) -> None:
    clock = asyncio.get_running_loop().time
    if records.rows:
        await resend(settings, records.rows, {REDRIVE: REPAIR})
    await until_worked_on(settings, clock() + wait, say)
    for images, how in ((records.anew, REPAIR), (records.redrive, "1")):
        for start in range(0, len(images), _AT_ONCE):
            part = images[start : start + _AT_ONCE]
            await resend(settings, part, {REDRIVE: how})
            say(f"sent {start + len(part)} of {len(images)} images down the line")
            await until_worked_on(settings, clock() + wait, say)


def _changed(before: JobLog, after: JobLog) -> list[str]:
    """Pictures that are others than they were: the dataset has them as they are now, and somebody should know."""
    notes = []
    for image, event in sorted(after.catalogued.items()):
        known = before.catalogued.get(image)
        if known is not None and known.original.sha256 != event.original.sha256:
            notes.append(
                f"the source picture has changed since it was catalogued, and is catalogued as it is now: "
                f"{event.original.uri} ({known.original.sha256} before, {event.original.sha256} now)"
            )
    return notes
