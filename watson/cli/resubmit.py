"""``resubmit``: the pictures of a job once more, through another model or other rules."""

from __future__ import annotations

from typing import Annotated

import typer

from watson.actions.manifest import job_options, make_manifest
from watson.cli.help import add
from watson.cli.options import Job, Json
from watson.cli.printing import print_json
from watson.cli.session import command_settings, in_loop, job_or_error, open_catalogue, publish_event
from watson.errors import UserError
from watson.events import JobOptions, ManifestSubmitted
from watson.settings import Settings

__all__ = ["register"]


def _resubmit(
    job: Job,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Name, or name@version; the job's if not given."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", metavar="NAME", help="Dataset to enter; the job's if not given.")
    ] = None,
    new_job: Annotated[
        str | None,
        typer.Option("--job", metavar="NEW", help="Id of the new job; if not given, made of what is asked."),
    ] = None,
    least_score: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="SCORE", help="Masks that score less stay out.")
    ] = None,
    least_area: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="FRACTION", help="Masks of less of the picture stay out.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option("--category", metavar="NAME", help="Only masks of this category; repeat it for several."),
    ] = None,
    all_categories: Annotated[
        bool, typer.Option("--all-categories", help="Masks of all categories, where the job wanted some.")
    ] = False,
    weight: Annotated[
        float | None, typer.Option(metavar="WEIGHT", help="Share of the line against other jobs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a job's pictures through another model, as a new job.

    The new job has the source and options of the old one, but for what is named here. What preprocess made is used
    again: no picture that has not changed is decoded twice; and where the model is the same, its masks are. The source
    is listed anew. Asking twice is the same job. Compare the two with watson diff.

    Examples:
      watson resubmit street-1a2b3c4d --model street-heads
      watson resubmit street-1a2b3c4d --least-score 0.5 --dataset street-sure
    """
    if category and all_categories:
        raise UserError("--category and --all-categories contradict each other: give one of them")

    def changed(options: JobOptions) -> JobOptions:
        rules = options.rules
        wanted = list(rules.categories or ()) if category is None else category
        return job_options(
            options.long_side,
            rules.least_score if least_score is None else least_score,
            rules.least_area if least_area is None else least_area,
            None if all_categories else wanted,
            options.weight if weight is None else weight,
        )

    async def resubmit(settings: Settings) -> ManifestSubmitted:
        from watson.actions.submit import resolved  # noqa: PLC0415 - aiokafka only where it is used

        async with open_catalogue(settings) as rows:
            old = (await job_or_error(rows, job)).job

        def another(named: str) -> ManifestSubmitted:
            manifest = make_manifest(old.source, dataset or old.dataset, new_job, named, changed(old.options))
            if manifest.job == job:
                raise UserError(f"that is job {job} itself: name another model, other rules or another dataset")
            return manifest

        another(model or old.model)  # what is wrong with it is said without a broker
        manifest = another(await resolved(settings, model or old.model))
        await publish_event(settings, manifest)
        return manifest

    manifest = in_loop(resubmit(command_settings()))
    if as_json:
        print_json({"job": manifest.job, "dataset": manifest.dataset, "model": manifest.model, "resubmits": job})
    else:
        typer.echo(f"submitted job {manifest.job}; follow it with: watson status {manifest.job}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "resubmit", _resubmit)
