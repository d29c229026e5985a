"""The command line in this process, as a shell calls it: arguments and environment in, exit code and output out."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from watson.cli import main
from watson.events import ImageCatalogued, ImageQuarantined, JobChanged
from watson.settings import Settings, load_settings
from watson.storage.catalogue import StageCount
from watson.storage.sqlite import SqliteCatalogue


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """Lines of standard output, by cell."""
        return [line.split("\t") for line in self.out.splitlines()]

    def refused(self, code: int = 2) -> str:
        """The one line of an error; fails where it is anything else."""
        assert self.code == code, self
        assert self.out == "", self
        (line,) = self.err.splitlines()
        assert line.startswith("watson: "), self
        return line


@dataclass
class Shell:
    """A folder with a catalogue and objects of its own, and no broker unless the test names one."""

    monkeypatch: pytest.MonkeyPatch
    folder: Path
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def __call__(self, *arguments: object, typed: str = "", **environment: str) -> Outcome:
        """Run a command. ``environment`` is of this call alone; ``typed`` is its standard input."""
        self.out, self.err = io.StringIO(), io.StringIO()
        with self.monkeypatch.context() as patch, redirect_stdout(self.out), redirect_stderr(self.err):
            patch.setattr("sys.argv", ["watson", *map(str, arguments)])
            patch.setattr("sys.stdin", io.StringIO(typed))
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as exc:
                code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
            else:
                code = 0
        return Outcome(code, self.out.getvalue(), self.err.getvalue())

    def set(self, **environment: str) -> None:
        """For all calls from now on."""
        for name, value in environment.items():
            self.monkeypatch.setenv(name, value)

    @property
    def settings(self) -> Settings:
        return load_settings()

    @property
    def database(self) -> Path:
        return self.folder / "catalogue.db"

    def migrate(self) -> None:
        asyncio.run(SqliteCatalogue(self.database).migrate())

    def write(
        self,
        *events: JobChanged | ImageCatalogued | ImageQuarantined | StageCount,
        resolved: Iterable[ImageQuarantined] = (),
    ) -> None:
        """Put rows into the catalogue, which is made where it is missing."""

        async def put() -> None:
            rows = SqliteCatalogue(self.database)
            await rows.migrate()
            await rows.open()
            for event in events:
                match event:
                    case JobChanged():
                        await rows.put_job(event)
                        await rows.put_submitted(event.job, event.time)
                    case ImageCatalogued():
                        await rows.put_image(event)
                    case ImageQuarantined():
                        await rows.put_dead_letter(event, resolved=False)
                    case StageCount():
                        await rows.put_count(event)
            for event in resolved:
                await rows.put_dead_letter(event, resolved=True)
            await rows.close()

        asyncio.run(put())
