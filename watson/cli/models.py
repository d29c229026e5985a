"""``models``: bring a model of your own, look at those there are, withdraw one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from watson.cli.help import add
from watson.cli.options import Json
from watson.cli.printing import print_json, print_rows
from watson.cli.registering import register_description
from watson.cli.session import command_settings, in_loop, open_catalogue, publish_event
from watson.errors import UserError
from watson.events import ModelEvaluated, ModelRegistered, ModelWithdrawn
from watson.storage.catalogue import Catalogue

__all__ = ["register"]

_COLUMNS = ("model", "kind", "categories", "mIoU", "registered")
_USED_IN = ("listing", "draining", "paused")

Named = Annotated[str, typer.Argument(metavar="MODEL", help="name@version, or a name where it has one version.")]


def _add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML or JSON file that describes the model.")],
    as_json: Json = False,
) -> None:
    r"""Register a model: check it, keep its weights, make it known.

    FILE names the model, its kind, its weights and how they are used; docs/models.md has an example of each kind. The
    weights are checked and tried on one picture here, then kept in the object store under their sha256, and workers
    fetch them from there. The same weights and configuration are the same version, however often they are added.

    Examples:
      watson models add street/model.toml
      watson submit s3://photos/2026/ --dataset street --model street
    """
    from watson.model.description import read_description  # noqa: PLC0415 - needed here alone

    event = register_description(read_description(file))
    if as_json:
        print_json(_document(event, []))
    else:
        typer.echo(f"registered {event.key}: a job can name it, --model {event.name}")


def _list(as_json: Json = False) -> None:
    """List the models that jobs can name: those that Watson brings, and those registered.

    Examples:
      watson models list
      watson models list --json
    """
    models, evaluations = in_loop(_known())
    if as_json:
        print_json([_document(model, evaluations) for model in models.values()])
        return
    print_rows(_COLUMNS, [_cells(model, evaluations) for model in models.values()])


def _show(model: Named, as_json: Json = False) -> None:
    """Show all that is known of a model: lineage, metrics, evaluations, configuration, categories.

    Examples:
      watson models show efficientnet-lite0-cam
      watson models show street@1a2b3c4d5e6f --json
    """
    models, evaluations = in_loop(_known())
    document = _document(_one(model, models), evaluations)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if value not in ("", [], {}, None):
            typer.echo(f"{name}: {_text(value)}")


def _rm(
    model: Named,
    force: Annotated[bool, typer.Option("--force", help="Also where jobs that have not ended use it.")] = False,
) -> None:
    """Withdraw a version of a model: no further job can name it.

    Its card and weights stay in the object store, since masks in datasets refer to them; jobs under way go on.
    Registering it again brings it back.

    Example:
      watson models rm street@1a2b3c4d5e6f
    """

    async def withdraw() -> str:
        settings = command_settings()
        async with open_catalogue(settings) as rows:
            found = _one(model, {event.key: event for event in await rows.models() if event.weights_size})
            if not force and (jobs := await _users(rows, found.key)):
                raise UserError(f"{found.key} is used by {', '.join(jobs)}: wait, or say --force")
        await publish_event(settings, ModelWithdrawn(name=found.name, model_version=found.model_version))
        return found.key

    typer.echo(f"withdrew {in_loop(withdraw())}")


async def _users(rows: Catalogue, reference: str) -> list[str]:
    return [row.job.job for row in await rows.jobs() if row.job.model == reference and row.job.state in _USED_IN]


async def _known() -> tuple[dict[str, ModelRegistered], list[ModelEvaluated]]:
    """Models by ``name@version``: those in the catalogue, and those that Watson brings, used or not."""
    from watson.agents.models import built_in_models  # noqa: PLC0415 - aiokafka only where it is used

    async with open_catalogue(command_settings()) as rows:
        models = {event.key: event for event in await rows.models()}
        return {event.key: event for event in built_in_models()} | models, list(await rows.evaluations())


def _one(reference: str, models: Mapping[str, ModelRegistered]) -> ModelRegistered:
    if reference in models:
        return models[reference]
    versions = [model for model in models.values() if model.name == reference]
    if len(versions) == 1:
        return versions[0]
    if versions:
        raise UserError(f"{reference} has several versions: {', '.join(sorted(model.key for model in versions))}")
    raise UserError(f"there is no model {reference!r}; known: {', '.join(sorted(models)) or 'none'}")


def _document(model: ModelRegistered, evaluations: list[ModelEvaluated]) -> dict[str, object]:
    return {
        "model": model.key,
        "kind": model.model_kind,
        "description": model.description,
        "licence": model.licence,
        "weights_sha256": model.weights_sha256,
        "weights_size": model.weights_size,
        "base": model.base,
        "dataset": model.dataset,
        "registered_at": model.time.isoformat() if model.weights_size else None,
        "metrics": model.metrics,
        "evaluations": [
            {"dataset": event.dataset, "images": event.images, "metrics": event.metrics}
            for event in _of(model, evaluations)
        ],
        "configuration": model.configuration,
        "categories": list(model.categories),
    }


def _of(model: ModelRegistered, evaluations: list[ModelEvaluated]) -> list[ModelEvaluated]:
    return [event for event in evaluations if (event.name, event.model_version) == (model.name, model.model_version)]


def _cells(model: ModelRegistered, evaluations: list[ModelEvaluated]) -> list[object]:
    measured = [event.metrics for event in _of(model, evaluations)] or [model.metrics]
    iou = measured[-1].get("mean_iou")
    brought = "with Watson" if not model.weights_size else model.time.strftime("%Y-%m-%dT%H:%M")
    return [model.key, model.model_kind, len(model.categories), "" if iou is None else f"{iou:.3f}", brought]


def _text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, list | dict):
        import orjson  # noqa: PLC0415 - small, and only here

        return orjson.dumps(value).decode()
    return str(value)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    models = typer.Typer(help="Bring models of your own, look at models, withdraw them.", no_args_is_help=True)
    add(models, "add", _add)
    add(models, "list", _list)
    add(models, "show", _show)
    add(models, "rm", _rm)
    app.add_typer(models, name="models")
