"""``watson run``: pictures in, a dataset with a gallery out, with nothing but this machine."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import orjson
from rich.console import Console

from watson.agents.publish import publish
from watson.agents.register_model import register_model
from watson.embedded.interrupts import interruptible
from watson.embedded.line import environment, running_line
from watson.embedded.progress import Stalled, follow
from watson.embedded.summary import RunSummary
from watson.embedded.supervisor import ProgramFailed
from watson.embedded.workplace import Workplace, claim
from watson.errors import UserError, WatsonError
from watson.events import DEFAULT_MODEL, JobOptions, ManifestSubmitted, Source
from watson.export.dataset import ExportSummary, export_dataset
from watson.model.preparing import ReadyModel
from watson.settings import Settings, load_settings
from watson.storage.catalogue import Catalogue, JobRow
from watson.storage.connect_catalogue import catalogue as connect_catalogue
from watson.storage.connect_objects import opened_object_store

__all__ = ["JobFailed", "job_id", "run"]

STALL_SECONDS = 600.0
"""Nothing moved for so long: give up. Above what discover waits before it sends a picture again."""

_LINES = 5  # times that the whole line is started, where the broker dies
_PROJECTED_SECONDS = 120.0
_POLL_SECONDS = 0.3


class JobFailed(WatsonError):  # noqa: N818 - says what happened
    """The job ended without a dataset: its source could not be listed, it was cancelled, or nearly all of it failed."""

    exit_code = 1


def job_id(source: Source, dataset: str, model: str, options: JobOptions) -> str:
    """The same question is the same job, so that running it again resumes it: ``run-`` and ten digits."""
    said = orjson.dumps([source.model_dump(), dataset, model, options.model_dump()], option=orjson.OPT_SORT_KEYS)
    return f"run-{hashlib.sha256(said).hexdigest()[:10]}"


async def run(
    source: Source,
    out: Path,
    *,
    dataset: str = "dataset",
    model: str | ReadyModel = DEFAULT_MODEL,
    options: JobOptions | None = None,
    json_output: bool = False,
    console: Console | None = None,
    stall_after: float = STALL_SECONDS,
) -> RunSummary:
    """Segment all pictures of a source into the dataset ``out``, with a broker and workers of its own.

    Ctrl-C stops in order; running it again goes on where it stopped. Must be called in the main thread.

    Args:
        source: where the pictures are; of a directory, an absolute path.
        out: directory of the dataset; work files go to ``out/.watson``.
        dataset: its name.
        model: name or name@version of a model that Watson brings, or one that is to be registered.
        options: of the job.
        json_output: progress as JSON lines on standard error; nothing else is printed.
        console: where progress goes; standard error for ``json_output``, else standard output.
        stall_after: seconds without movement after which to give up.

    Raises:
        UserError: ``out`` cannot be used, lies in the source, or another run works on it.
        Interrupted: the person stopped it.
        JobFailed: the source cannot be listed, the job was cancelled, or paused since nearly all pictures failed.
        ProgramFailed: a role or the broker died again and again.
        Stalled: nothing moved for ``stall_after`` seconds.
    """
    _check_apart(source, out)
    options = options or JobOptions()
    started = time.monotonic()
    console = console or Console(stderr=json_output, emoji=False)
    name = model if isinstance(model, str) else model.card.reference
    manifest = ManifestSubmitted(
        job=job_id(source, dataset, name, options), dataset=dataset, source=source, model=name, options=options
    )
    own = None if isinstance(model, str) else model
    with claim(out) as workplace:
        settings = load_settings(**_fields(environment(workplace)))
        async with interruptible(console) as interrupts, _catalogue(settings) as catalogue:
            work = _Run(manifest, workplace, catalogue, console, json=json_output, stall_after=stall_after, model=own)
            row = await work.to_the_end(interrupts.on_force)
            summary = await work.export(settings, out)
    return RunSummary.of(row, summary, seconds=time.monotonic() - started)


def _check_apart(source: Source, out: Path) -> None:
    if source.kind != "directory":
        return
    pictures = Path(unquote(urlsplit(source.uri).path) if source.uri.startswith("file:") else source.uri)
    if out.resolve().is_relative_to(pictures.resolve()):
        raise UserError(
            f"{out} lies in {pictures}, so the next run would take the dataset's pictures for new ones: "
            "name a directory outside it"
        )


class _Run:
    def __init__(
        self,
        manifest: ManifestSubmitted,
        workplace: Workplace,
        catalogue: Catalogue,
        console: Console,
        *,
        json: bool,
        stall_after: float,
        model: ReadyModel | None = None,
    ) -> None:
        self._manifest = manifest
        self._workplace = workplace
        self._catalogue = catalogue
        self._console = console
        self._json = json
        self._stall_after = stall_after
        self._model = model

    async def to_the_end(self, on_kill: Callable[[Callable[[], None]], None]) -> JobRow:
        """Run the line until the job has ended and all of it is in the catalogue; a new line where the broker dies."""
        for attempt in range(1, _LINES + 1):
            try:
                async with running_line(self._workplace, self._catalogue, say=self._say, on_kill=on_kill) as line:
                    self._tell(
                        {"pages": line.pages},
                        f"Watch it at {line.pages} while it runs. Masks come once the model is loaded.",
                    )
                    return await line.during(self._job(line.settings))
            except ProgramFailed as exc:
                if exc.program.name != "broker" or attempt == _LINES:
                    raise
                self._say(f"The broker died ({exc.code}); the line starts again, and goes on with what is done.")
            except Stalled as exc:
                raise Stalled(f"{exc}. The logs are in {self._workplace.logs}; running it again goes on.") from exc
        raise AssertionError("the last attempt returns or raises")

    async def _job(self, settings: Settings) -> JobRow:
        if self._model is not None:
            async with opened_object_store(settings) as objects:
                await register_model(self._model, objects, settings)
        await publish(settings, [self._manifest])
        row = await follow(
            self._catalogue, self._manifest.job, self._console, json=self._json, stall_after=self._stall_after
        )
        if row.job.state == "paused":
            raise JobFailed(
                f"The job is paused: {row.job.message}. Here the whole line stopped with it, so instead: run the same "
                f"command again, and it goes on. The logs are in {self._workplace.logs}"
            )
        if row.job.state != "complete":
            raise JobFailed(f"The job is {row.job.state}: {row.job.message or 'no reason given'}")
        await self._projected(row)
        return row

    async def _projected(self, row: JobRow) -> None:
        """Wait until the catalogue has each row that the counts speak of: they come from different topics."""
        wanted = row.counts.get("catalogued", 0), row.counts.get("quarantined", 0)
        found = await self._rows()
        try:
            async with asyncio.timeout(_PROJECTED_SECONDS):
                while found[0] < wanted[0] or found[1] < wanted[1]:
                    await asyncio.sleep(_POLL_SECONDS)
                    found = await self._rows()
        except TimeoutError:
            raise Stalled(
                f"The catalogue has {found[0]} pictures and {found[1]} dead letters, and should have "
                f"{wanted[0]} and {wanted[1]}"
            ) from None

    async def _rows(self) -> tuple[int, int]:
        job = self._manifest.job
        images, letters = 0, set[str]()
        cursor: str | None = None
        while True:
            page = await self._catalogue.images(job, after=cursor, limit=500)
            images += len(page.items)
            if (cursor := page.cursor) is None:
                break
        while True:
            dead = await self._catalogue.dead_letters(job, after=cursor, limit=500)
            letters.update(letter.event.key for letter in dead.items if not letter.resolved)
            if (cursor := dead.cursor) is None:
                return images, len(letters)

    async def export(self, settings: Settings, out: Path) -> ExportSummary:
        """Write the dataset from the catalogue and the objects."""
        async with opened_object_store(settings) as objects:
            return await export_dataset(self._catalogue, objects, self._manifest.job, out)

    def _say(self, message: str) -> None:
        self._tell({"message": message}, message, style="yellow")

    def _tell(self, document: dict[str, str], text: str, style: str | None = None) -> None:
        said = orjson.dumps(document).decode() if self._json else text
        self._console.print(said, style=style, markup=False, highlight=False, soft_wrap=True)


@asynccontextmanager
async def _catalogue(settings: Settings) -> AsyncIterator[Catalogue]:
    catalogue = connect_catalogue(settings)
    await catalogue.migrate()
    await catalogue.open()
    try:
        yield catalogue
    finally:
        await catalogue.close()


def _fields(variables: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("WATSON_").lower(): text for name, text in variables.items()}
