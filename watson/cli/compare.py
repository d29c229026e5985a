"""``diff``: what two jobs over the same pictures found differently, mask by mask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from watson.cli.help import add
from watson.cli.options import Json
from watson.cli.printing import one_line, print_json, print_rows
from watson.cli.session import command_settings, in_loop, warn_unfinished
from watson.settings import Settings

if TYPE_CHECKING:
    from watson.compare.difference import Difference

__all__ = ["register"]

_COLUMNS = ("category", "before", "after", "unchanged", "shape", "became", "was", "gained", "lost", "agreement")
_KEYS = ("before", "after", "unchanged", "changed_shape", "became_another", "was_another", "gained", "lost")
_RENAMED_SHOWN = 10
_SO_FAR = "it is compared as far as it is"


def _diff(
    before: Annotated[str, typer.Argument(metavar="JOB", help="Job id, or directory of watson run.")],
    after: Annotated[str, typer.Argument(metavar="OTHER", help="Job id: another model over the same pictures.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Also write a page there; a new or empty directory."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=2000, metavar="PICTURES", help="On the page, at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Compare two jobs mask by mask: gained, lost, another category, another shape.

    Masks are paired by overlap: 50 % or more is the same thing, 90 % or more the same shape (docs/datasets.md says how
    exactly). --out writes a page that opens from disk, with the pictures on which the jobs disagree most side by side.
    A job may also be named by the directory that watson run made. Ends with 0 also where they differ.

    Examples:
      watson diff street-1a2b3c4d street-5e6f7a8b
      watson diff street-1a2b3c4d street-5e6f7a8b --out differences
      watson diff dataset other-dataset --out differences
    """
    from watson.compare.document import to_json  # noqa: PLC0415 - pycocotools and OpenCV only where they are used

    found, page = in_loop(_compare(command_settings(), before, after, out, most))
    document = to_json(found)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if page is not None:
        typer.echo(f"open {page} in a browser", err=True)


async def _compare(
    settings: Settings, before: str, after: str, out: Path | None, most: int
) -> tuple[Difference, Path | None]:
    from watson.cli.sides import open_sides  # noqa: PLC0415 - see above
    from watson.compare.difference import difference  # noqa: PLC0415 - see above
    from watson.compare.page import check_folder, write_page  # noqa: PLC0415 - see above

    if out is not None:
        await asyncio.to_thread(check_folder, out)
    console = Console(stderr=True)
    async with open_sides(settings, [before, after]) as sides:
        old, new = sides
        for side in sides:
            warn_unfinished(side.row, _SO_FAR)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("pictures", total=max(side.row.counts.get("catalogued", 0) for side in sides))
            found = await difference(
                old, new, most=most, on_progress=lambda images: progress.update(bar, completed=images)
            )
        return found, await write_page(old, new, found, out) if out is not None else None


def _print(document: dict[str, Any]) -> None:
    print_rows(_COLUMNS, _rows(document["categories"]))
    for entry in document["renamed"][:_RENAMED_SHOWN]:
        typer.echo(one_line(f"{entry['masks']} × {entry['before']} → {entry['after']}"), err=True)
    images, masks = document["images"], document["masks"]
    replaced = f", {images['replaced']} replaced meanwhile and not compared" if images["replaced"] else ""
    typer.echo(
        f"{images['both']} images compared, {images['same']} of them the same; {images['only_before']} only before, "
        f"{images['only_after']} only after{replaced}",
        err=True,
    )
    typer.echo(
        f"masks: {masks['unchanged']} unchanged, {masks['changed-shape']} of another shape, "
        f"{masks['changed-category']} of another category, {masks['gained']} gained, {masks['lost']} lost; "
        f"mean disagreement {document['disagreement']:.0%}",
        err=True,
    )


def _rows(categories: dict[str, dict[str, Any]]) -> Iterator[list[object]]:
    for name, counts in categories.items():
        yield [name, *(counts[key] for key in _KEYS), f"{counts['quality']:.0%}"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "diff", _diff)
