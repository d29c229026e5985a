"""Options and arguments that several commands have: one name, one help text."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "Categories",
    "Job",
    "Json",
    "Kind",
    "LeastArea",
    "LeastScore",
    "LongSide",
    "MaybeJob",
    "Model",
    "ModelOrFile",
    "Reason",
    "Template",
]

Job = Annotated[str, typer.Argument(metavar="JOB", help="Job id.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for machines.")]

Model = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="Model name, or name@version.")]
ModelOrFile = Annotated[
    str,
    typer.Option("--model", "-m", metavar="MODEL", help="Model name, or the TOML or JSON file of a model of your own."),
]
Kind = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="What the source is: directory, s3, list or open-images; guessed if not given."),
]
Template = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="URI of each row of open-images, with {subset} and {id}; "
        "s3://open-images-dataset/{subset}/{id}.jpg if not given.",
    ),
]
LongSide = Annotated[int, typer.Option(min=32, max=8192, metavar="PIXELS", help="Larger pictures are scaled down.")]
LeastScore = Annotated[float, typer.Option(min=0, max=1, metavar="SCORE", help="Masks that score less stay out.")]
LeastArea = Annotated[
    float, typer.Option(min=0, max=1, metavar="FRACTION", help="Masks of less of the picture stay out.")
]
Categories = Annotated[
    list[str] | None,
    typer.Option("--category", metavar="NAME", help="Only masks of this category; repeat it for several."),
]

MaybeJob = Annotated[
    str | None,
    typer.Option("--job", "-j", metavar="JOB", help="Job id. Without it: events that belong to no job."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", "-r", metavar="REASON", help="Only this reason (docs/reason-codes.md).")
]
