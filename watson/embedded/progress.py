"""How far a job is, live: a bar a stage in a terminal, lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from watson.errors import Retriable, UserError, WatsonError
from watson.storage.catalogue import Catalogue, JobRow

__all__ = ["Reading", "Stalled", "follow"]

STAGES = ("discovered", "preprocessed", "segmented", "catalogued")
_FINAL = ("complete", "cancelled", "failed")
_POLL_SECONDS = 0.5
_LINE_SECONDS = 5.0
_RATE_SECONDS = 20.0
_UNAVAILABLE_SECONDS = 60.0
_NOTICE_SECONDS = 60.0
_COUNTS_SECONDS = 30.0  # that counts may be behind the state of a job that is done


class Stalled(WatsonError):  # noqa: N818 - says what happened
    """Nothing moved for too long. Says where the job stands."""

    exit_code = 75  # Source: sysexits.h, EX_TEMPFAIL: running it again may do


@dataclass(frozen=True, slots=True)
class Reading:
    """A job's counts at a moment. All are pictures; ``total`` is what is known to come so far."""

    state: str
    total: int
    counts: dict[str, int]
    quarantined: int

    @classmethod
    def of(cls, row: JobRow | None) -> Reading:
        """Read a job's row; ``submitted`` is the state of one that has none yet."""
        if row is None:
            return cls("submitted", 0, dict.fromkeys(STAGES, 0), 0)
        counts = {stage: row.counts.get(stage, 0) for stage in STAGES}
        # A list may name a picture twice: once all is discovered, the distinct ones are the total.
        listing = row.job.state in ("listing", "paused")
        total = max(row.job.listed, counts["discovered"]) if listing else counts["discovered"] or row.job.listed
        return cls(row.job.state, total, counts, row.counts.get("quarantined", 0))

    @property
    def listed(self) -> bool:
        """Whether the whole source is listed, so that the total is one, and the time left can be told."""
        return self.state not in ("submitted", "listing", "paused")

    @property
    def ended(self) -> int:
        """Pictures that are through: catalogued or quarantined."""
        return self.counts["catalogued"] + self.quarantined

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself, and the counts have caught up with the state."""
        return self.state in ("failed", "paused") or (self.state in _FINAL and self.ended >= self.counts["discovered"])

    def target(self, stage: str) -> int:
        """How far this stage's bar goes: what was quarantined before it never comes."""
        wanted = self.total if stage == "discovered" else self.total - self.quarantined
        return max(wanted, self.counts[stage])


class _Rate:
    """Pictures ended a second, over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, time: float, ended: int) -> float | None:
        """Pictures a second; None while nothing is known. ``time`` in seconds on any steady clock."""
        self._seen.append((time, ended))
        while time - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first and after > before else None


class _View(Protocol):
    def show(self, reading: Reading, rate: float | None) -> None: ...


async def follow(
    catalogue: Catalogue,
    job: str,
    console: Console,
    *,
    until_complete: bool = True,
    json: bool = False,
    stall_after: float | None = None,
) -> JobRow:
    """Show a job's progress until nothing more will happen to it, or nothing until a person resumes it.

    Args:
        catalogue: open.
        job: its id. One that the catalogue does not know yet is waited for.
        console: where to show it.
        until_complete: False shows where the job stands now, and returns.
        json: one JSON object a line whenever something moved, in place of bars.
        stall_after: seconds without any movement after which to give up; None waits on.

    Returns:
        The job's last row.

    Raises:
        UserError: with ``until_complete`` False, where there is no such job.
        Stalled: after ``stall_after``.
        Retriable: the catalogue was unavailable for a minute.
    """
    if not until_complete:
        row = await catalogue.job(job)
        if row is None:
            raise UserError(f"There is no job {job} in the catalogue; `watson jobs list` shows those there are")
        _Lines(console, json=json, always=True).show(Reading.of(row), None)
        return row
    with _view(console, json=json) as view:
        return await _Follower(catalogue, job, console, view, stall_after).run()


class _Follower:
    def __init__(
        self, catalogue: Catalogue, job: str, console: Console, view: _View, stall_after: float | None
    ) -> None:
        self._catalogue = catalogue
        self._job = job
        self._console = console
        self._view = view
        self._stall_after = stall_after

    async def run(self) -> JobRow:
        clock = asyncio.get_running_loop().time
        rate = _Rate()
        last: Reading | None = None
        moved = answered = clock()
        noticed = False
        while True:
            try:
                row = await self._catalogue.job(self._job)
                answered = clock()
            except Retriable:
                # A busy database may answer the next time; one that is gone does not.
                if clock() - answered > _UNAVAILABLE_SECONDS:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
                continue
            reading = Reading.of(row)
            if reading != last:
                last, moved, noticed = reading, clock(), False
            self._view.show(reading, rate.note(clock(), reading.ended))
            if row is not None and (reading.over or self._settled(clock() - moved, reading)):
                return row
            noticed = self._mind_stall(clock() - moved, reading, noticed=noticed)
            await asyncio.sleep(_POLL_SECONDS)

    def _settled(self, still: float, reading: Reading) -> bool:
        """A job that is done, and whose counts did not come right: more waiting would not help."""
        settled = reading.state in _FINAL and still > _COUNTS_SECONDS
        if settled:
            said = f"The job is {reading.state}, but its counts are not: `watson audit {self._job}` says what is off."
            self._console.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
        return settled

    def _mind_stall(self, still: float, reading: Reading, *, noticed: bool) -> bool:
        if self._stall_after is not None and still > self._stall_after:
            raise Stalled(
                f"Nothing moved for {still:.0f} s: job {self._job} is {reading.state}, {reading.ended} of "
                f"{reading.total} pictures are through"
            )
        if still > _NOTICE_SECONDS and not noticed:
            self._console.print(f"Nothing has moved for {still:.0f} s; still waiting.", style="yellow", markup=False)
            return True
        return noticed


@contextmanager
def _view(console: Console, *, json: bool) -> Iterator[_View]:
    if json or not console.is_terminal:
        yield _Lines(console, json=json)
        return
    with _bars(console) as progress:
        yield _Bars(progress)


class _Lines:
    """One line every few seconds in which something moved, and always one for the end."""

    def __init__(self, console: Console, *, json: bool, always: bool = False) -> None:
        self._console = console
        self._json = json
        self._always = always
        self._last: Reading | None = None
        self._said = float("-inf")

    def show(self, reading: Reading, rate: float | None) -> None:
        clock = asyncio.get_running_loop().time
        due = self._always or reading.over or clock() - self._said >= (_POLL_SECONDS if self._json else _LINE_SECONDS)
        if not due or (reading == self._last and not self._always):
            return
        self._last, self._said = reading, clock()
        text = _json_line(reading, rate) if self._json else _text_line(reading, rate)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _json_line(reading: Reading, rate: float | None) -> str:
    return orjson.dumps(
        {
            "state": reading.state,
            "total": reading.total,
            **reading.counts,
            "quarantined": reading.quarantined,
            "pictures_per_second": round(rate, 2) if rate else None,
            "seconds_left": round((reading.total - reading.ended) / rate) if rate and reading.listed else None,
        }
    ).decode()


def _text_line(reading: Reading, rate: float | None) -> str:
    counts = ", ".join(f"{reading.counts[stage]:,} {stage}" for stage in STAGES)
    text = f"{reading.state}: {counts}, {reading.quarantined:,} quarantined of {reading.total:,}"
    if rate and not reading.over:
        text += f", {rate:.1f} pictures/s"
    if rate and reading.listed and not reading.over:
        text += f", {_duration((reading.total - reading.ended) / rate)} left"
    return text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class _RateColumn(ProgressColumn):
    """The stage's own rate, and the time left where the total is known. rich's forgets its rate at each new total."""

    def render(self, task: Task) -> Text:
        rate = task.fields.get("rate")
        if not rate or task.finished:
            return Text("")
        text = f"{rate:.1f}/s"
        if task.fields["final"] and task.total:
            text += f", {_duration((task.total - task.completed) / rate)} left"
        return Text(text, style="dim")


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<13}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        _RateColumn(),
        console=console,
    )


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {stage: progress.add_task(stage, total=None) for stage in STAGES}
        self._rates = {stage: _Rate() for stage in STAGES}
        self._row = progress.add_task("[red]quarantined", total=None, visible=False)

    def show(self, reading: Reading, rate: float | None) -> None:
        del rate  # each bar has its own
        clock = asyncio.get_running_loop().time()
        for stage, task in self._tasks.items():
            done = reading.counts[stage]
            total = reading.target(stage) if reading.total or reading.over else None
            own = self._rates[stage].note(clock, done)
            self._progress.update(task, completed=done, total=total, rate=own, final=reading.listed)
        if reading.quarantined:
            self._progress.update(self._row, completed=reading.quarantined, total=max(reading.total, 1), visible=True)
