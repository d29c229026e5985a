"""``submit``: hand a job to the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from watson.actions.manifest import job_options, source_of
from watson.cli.help import add
from watson.cli.options import Categories, Json, Kind, LeastArea, LeastScore, LongSide, Model, Template
from watson.cli.printing import print_json
from watson.cli.session import command_settings, in_loop
from watson.events import DEFAULT_MODEL, JobOptions, ManifestSubmitted, Source

__all__ = ["register"]


def _submit(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Directory, s3://bucket/prefix, or a .txt, .csv or .jsonl list.")
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", metavar="NAME", help="Dataset that the masks enter.")],
    job: Annotated[
        str | None,
        typer.Option(metavar="JOB", help="Job id; if not given, made of what is asked: asking twice is once."),
    ] = None,
    model: Model = DEFAULT_MODEL,
    kind: Kind = None,
    template: Template = None,
    long_side: LongSide = 1024,
    least_score: LeastScore = 0.1,
    least_area: LeastArea = 0.005,
    category: Categories = None,
    weight: Annotated[float, typer.Option(metavar="WEIGHT", help="Share of the line against other jobs.")] = 1.0,
    as_json: Json = False,
) -> None:
    r"""Submit a job to the cluster.

    Sends one manifest event to the topic `manifests`, and ends; the workers do the rest. The pictures must be where
    the workers can read them.

    Examples:
      watson submit s3://photos/2026/ --dataset street
      watson submit image_ids.csv --dataset open-images \
        --template 's3://open-images-dataset/{subset}/{id}.jpg'
    """
    options = job_options(long_side, least_score, least_area, category, weight)
    manifest = in_loop(_submitted(source_of(source, kind, template), dataset, job, model, options))
    if as_json:
        print_json({"job": manifest.job, "dataset": dataset})
    else:
        typer.echo(f"submitted job {manifest.job}; follow it with: watson status {manifest.job}")


async def _submitted(
    source: Source, dataset: str, job: str | None, model: str, options: JobOptions
) -> ManifestSubmitted:
    from watson.actions.submit import submit  # noqa: PLC0415 - aiokafka only where it is used

    return await submit(command_settings(), source, dataset, job, model, options)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "submit", _submit)
