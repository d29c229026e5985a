"""``suggest``: which pictures to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress

from watson.cli.help import add
from watson.cli.options import Json
from watson.cli.printing import print_json, print_rows
from watson.cli.session import command_settings, in_loop, warn_unfinished
from watson.errors import UserError
from watson.settings import Settings

if TYPE_CHECKING:
    from watson.compare.suggest import Suggestion, Suggestions

__all__ = ["register"]

_LISTS = (".jsonl", ".ndjson", ".txt")


def _suggest(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Job id, or directory of watson run.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, max=20_000, metavar="IMAGES", help="At most.")] = 100,
    against: Annotated[
        str | None, typer.Option(metavar="OTHER", help="A job over the same pictures: where they disagree counts too.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Also as a .jsonl or .txt list, for watson submit."),
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also as COCO with the masks found, for CVAT or Label Studio.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the pictures of a job that are most worth a person's time, and why.

    Those whose masks score low, where two categories contend for one place, and (with --against) where two models
    disagree; spread over the categories, rare ones first. docs/datasets.md says how exactly.

    Examples:
      watson suggest street-1a2b3c4d -n 100 --out next.jsonl
      watson suggest street-1a2b3c4d --against street-5e6f7a8b --coco next.json
    """
    if out is not None and out.suffix.lower() not in _LISTS:
        raise UserError(
            f"--out {out}: name it .jsonl (with the reasons) or .txt (URIs alone), so that its format is told"
        )
    if coco is not None and coco == out:
        raise UserError(f"--out and --coco name one file, {out}")
    found, document = in_loop(_find(command_settings(), job, number, against, pre_annotated=coco is not None))
    _write(found, out, coco, document)
    if as_json:
        print_json(_to_json(found))
        return
    print_rows(("worth", "image", "why"), map(_cells, found.chosen))
    left_out = "" if len(found.chosen) == number else "; of the others nothing is in doubt"
    covered = sum(chosen > 0 for _, chosen in found.coverage.values())
    typer.echo(
        f"{len(found.chosen)} of {found.images} images, {covered} of {len(found.coverage)} categories{left_out}",
        err=True,
    )


async def _find(
    settings: Settings, job: str, number: int, against: str | None, *, pre_annotated: bool
) -> tuple[Suggestions, dict[str, Any] | None]:
    from watson.cli.sides import open_sides  # noqa: PLC0415 - OpenCV and pycocotools only where they are used
    from watson.compare.labels import coco_of  # noqa: PLC0415 - see above
    from watson.compare.suggest import suggest  # noqa: PLC0415 - see above

    console = Console(stderr=True)
    async with open_sides(settings, [job] if against is None else [job, against]) as sides:
        for side in sides:
            warn_unfinished(side.row, "it is looked at as far as it is")
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("images", total=sides[0].row.counts.get("catalogued", 0))
            found = await suggest(
                sides[0],
                number,
                against=sides[1] if len(sides) > 1 else None,
                on_progress=lambda images: progress.update(bar, completed=images),
            )
        return found, await coco_of(sides[0], found.chosen) if pre_annotated else None


def _write(found: Suggestions, out: Path | None, coco: Path | None, document: dict[str, Any] | None) -> None:
    from watson.compare.labels import jsonl_of, text_of  # noqa: PLC0415 - see above

    if out is not None:
        out.write_bytes(text_of(found.chosen) if out.suffix.lower() == ".txt" else jsonl_of(found.chosen))
        typer.echo(f"wrote {out}: watson submit {out} takes it", err=True)
    if coco is not None and document is not None:
        coco.write_bytes(orjson.dumps(document) + b"\n")
        typer.echo(f"wrote {coco}: {len(document['annotations'])} masks to begin with", err=True)


def _to_json(found: Suggestions) -> dict[str, object]:
    return {
        "images": found.images,
        "categories": {name: {"images": there, "chosen": chosen} for name, (there, chosen) in found.coverage.items()},
        "suggestions": [
            {
                "uri": one.uri,
                "image_key": str(one.image_key),
                "worth": round(one.worth, 4),
                "doubt": {name: round(part, 4) for name, part in one.doubt.parts.items()},
                "reasons": one.reasons,
            }
            for one in found.chosen
        ],
    }


def _cells(one: Suggestion) -> list[object]:
    return [f"{one.worth:.2f}", one.uri, "; ".join(one.reasons)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "suggest", _suggest)
