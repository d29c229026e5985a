"""``export``: leave with a dataset that other tools open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from watson.cli.help import add
from watson.cli.options import Job
from watson.cli.session import command_settings, in_loop, job_or_error, open_catalogue, open_objects, warn_unfinished

__all__ = ["register"]


def _export(
    job: Job,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new or empty directory, or an export.")],
) -> None:
    """Write a job's dataset to a directory.

    COCO annotations, mask PNGs, pictures, and a gallery that opens from disk. An earlier export in DIR is replaced as
    a whole; files of others stay.

    Example:
      watson export street-1a2b3c4d --out street
    """
    from watson.export.dataset import ExportSummary, export_dataset  # noqa: PLC0415 - pictures are touched only here

    async def export() -> ExportSummary:
        settings = command_settings()
        async with open_catalogue(settings) as rows, open_objects(settings) as objects:
            warn_unfinished(await job_or_error(rows, job))
            console = Console(stderr=True)
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                bar = progress.add_task("pictures", total=None)
                return await export_dataset(
                    rows,
                    objects,
                    job,
                    out,
                    on_progress=lambda done, all_: progress.update(bar, completed=done, total=all_),
                )

    done = in_loop(export())
    typer.echo(
        f"wrote {done.pictures} pictures with {done.masks} masks to {out} ({done.quarantined} are quarantined); "
        f"open {done.gallery} in a browser"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "export", _export)
