"""Sends dead letters round again, for pages and API; many take longer than an answer may, and go on after it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from watson.actions.retry import Choice, Retried, retry
from watson.errors import ReasonCode
from watson.settings import Settings
from watson.storage.catalogue import Catalogue
from watson.web.works import Work, Works

__all__ = ["MOST", "Retries", "Said", "choice_of"]

MOST = 10_000
"""Letters that are sent at once. What is left open after that can be sent again."""

_AT_ONCE = 2
_WAITING = 20
_LONGEST_SECONDS = 1800.0
_WAIT_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Said:
    """What became of it by now.

    Attributes:
        sent: events that were sent.
        running: whether further ones are being sent.
        lost: for each that could not be sent, one line that says why.
        problem: the same in one sentence; empty where all were.
    """

    sent: int
    running: bool
    lost: tuple[str, ...] = ()
    problem: str = ""
    of: int = 0

    @property
    def text(self) -> str:
        """A sentence for people, without its full stop."""
        if self.running:
            return f"sent {self.sent:,} of {self.of:,} again so far; the others follow, also when this page is closed"
        if not self.sent:
            return "nothing that fits is open and can be sent again"
        more = "; there may be more, to be sent once these have ended" if self.sent + len(self.lost) >= MOST else ""
        return f"sent {self.sent:,} again{more}"


class Retries:
    """What is being sent by this worker."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._works: Works[Retried] = Works(at_once=_AT_ONCE, most=_WAITING, seconds=_LONGEST_SECONDS, kept=0.0)

    async def send(self, choice: Choice) -> Said:
        """Send them, or as many as are sent before an answer is due. Who asks for the same again joins in.

        Raises:
            ServiceUnavailable, UserError: the broker is away, or a topic is missing.
            Retriable: too much is being sent already.
        """

        async def do(work: Work[Retried]) -> Retried:
            return await retry(self._settings, self._catalogue, choice, most=MOST, on_progress=work.progress)

        work = self._works.start(choice, do)
        if not await work.wait(min(_WAIT_SECONDS, self._settings.web_timeout / 2)):
            return Said(work.done, running=True, of=work.of)
        done = work.result()
        return Said(done.sent, running=False, lost=done.lost, problem=done.complaint(), of=done.sent)

    async def close(self) -> None:
        """Break off what is being sent. What is left stays open, and can be sent again."""
        await self._works.close()


def choice_of(
    job: str | None, *, reason: str | None, stage: str | None, letter: UUID | None, image: UUID | None = None
) -> Choice:
    """The letters that a request means; 400 where there is no such reason."""
    if reason and reason not in set(ReasonCode):
        raise web.HTTPBadRequest(text=f"reason={reason!r} is not a reason code: one of {', '.join(ReasonCode)}.")
    return Choice(job, reason or None, stage=stage or None, letter=letter, image=image)
