"""``run``: pictures in, a dataset out, on this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from watson.actions.manifest import job_options, source_of
from watson.cli.help import add
from watson.cli.options import Categories, Kind, LeastArea, LeastScore, LongSide, ModelOrFile, Template
from watson.cli.printing import print_json
from watson.cli.registering import ready_model
from watson.cli.session import in_loop
from watson.errors import UserError
from watson.events import DEFAULT_MODEL

if TYPE_CHECKING:
    from watson.model.preparing import ReadyModel

__all__ = ["register"]


def _run(
    photos: Annotated[
        str, typer.Argument(metavar="PHOTOS", help="Directory, s3://bucket/prefix, or a .txt, .csv or .jsonl list.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Directory of the dataset to make.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", metavar="NAME", help="Its name; that of DIR if not given.")
    ] = None,
    model: ModelOrFile = DEFAULT_MODEL,
    kind: Kind = None,
    template: Template = None,
    long_side: LongSide = 1024,
    least_score: LeastScore = 0.1,
    least_area: LeastArea = 0.005,
    category: Categories = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Summary as JSON on standard output; progress as JSON lines on stderr.")
    ] = False,
) -> None:
    r"""Segment pictures into a dataset on this machine.

    No Kafka, no database, no bucket needed: starts a broker and a worker of each role, shows progress, and stops them
    at the end. Ctrl-C stops in order; the same command goes on where it stopped. DIR gets annotations/instances.json
    (COCO), masks/, images/ and index.html.

    Examples:
      watson run ~/photographs --out dataset
      watson run ~/photographs --out street --model street/model.toml
      watson run s3://photos/2026/ --out cats --category "tabby cat" \
        --category "tiger cat"
    """
    from watson.embedded.run import run  # noqa: PLC0415 - everything is loaded only here

    console = Console(stderr=as_json, emoji=False)
    source, options = source_of(photos, kind, template), job_options(long_side, least_score, least_area, category)
    with _own_model(model) as own:
        summary = in_loop(
            run(
                source,
                out,
                dataset=dataset or _name_of(out),
                model=model if own is None else own,
                options=options,
                json_output=as_json,
                console=console,
            )
        )
    if as_json:
        print_json(summary.to_json())
    else:
        summary.show(console)


@contextmanager
def _own_model(model: str) -> Iterator[ReadyModel | None]:
    """A model that is named by its file, checked and ready to be registered; None where Watson brings it.

    Raises:
        UserError: there is no such model, or what its file says is wrong.
    """
    if not model.lower().endswith((".toml", ".json")):
        _check_brought(model)
        yield None
        return
    from watson.model.description import read_description  # noqa: PLC0415 - only here

    with ready_model(read_description(Path(model))) as ready:
        yield ready


def _check_brought(model: str) -> None:
    """Said before anything is started."""
    from watson.model.registry import is_built_in, public_names  # noqa: PLC0415 - only here

    if not is_built_in(model):
        known = ", ".join(public_names())
        raise UserError(
            f"there is no model {model!r} on this machine. Known: {known}; or give the TOML or JSON file of one of "
            "yours (docs/models.md)"
        )


def _name_of(out: Path) -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in out.resolve().name)
    return name.lstrip("._-")[:100] or "dataset"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "run", _run)
