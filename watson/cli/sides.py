"""The jobs that ``diff`` and ``suggest`` are given: by id, or as the dataset directory that ``watson run`` made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from watson.cli.session import job_or_error, open_catalogue, open_objects
from watson.compare.side import Side
from watson.embedded.workplace import Workplace
from watson.errors import UserError
from watson.settings import Settings
from watson.storage.catalogue import Catalogue
from watson.storage.objects import ObjectStore

__all__ = ["open_sides"]


@asynccontextmanager
async def open_sides(settings: Settings, names: list[str]) -> AsyncIterator[list[Side]]:
    """Each job, with its catalogue and object store open.

    Raises:
        UserError: there is no such job, the same one is named twice, or a directory holds none.
    """
    async with AsyncExitStack() as stack:
        places: dict[Path | None, tuple[Catalogue, ObjectStore]] = {}
        sides: list[Side] = []
        for name in names:
            folder = await asyncio.to_thread(_workplace, name)
            if folder not in places:
                own = settings if folder is None else _settings_of(settings, Workplace(folder))
                rows = await stack.enter_async_context(open_catalogue(own))
                places[folder] = rows, await stack.enter_async_context(open_objects(own))
            rows, objects = places[folder]
            sides.append(
                Side(rows, objects, await job_or_error(rows, name if folder is None else await _only(rows, name)))
            )
        if len({(id(side.catalogue), side.job) for side in sides}) < len(sides):
            raise UserError(f"{sides[0].job} is the same job twice: name two")
        yield sides


def _workplace(name: str) -> Path | None:
    """The folder where ``watson run`` worked, where ``name`` is its dataset's directory."""
    if not name:  # a shell variable that is not set, and not the directory that one happens to be in
        return None
    try:
        work = Path(name).resolve() / ".watson"
        return work if Workplace(work).catalogue.is_file() else None
    except OSError:  # too long for a path, or not readable: then it is a job's id, or nothing
        return None


def _settings_of(settings: Settings, workplace: Workplace) -> Settings:
    where = {"catalogue": f"sqlite:{workplace.catalogue}", "objects": f"file:{workplace.objects}"}
    return settings.model_copy(update=where)


async def _only(rows: Catalogue, name: str) -> str:
    jobs = await rows.jobs()
    if len(jobs) != 1:
        raise UserError(f"{name} holds {len(jobs)} jobs, one is wanted: has watson run come to its end there?")
    return jobs[0].job.job
