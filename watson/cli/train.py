"""``train`` and ``evaluate``: a model for one's own categories, and how good a model is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from watson.actions.manifest import is_name
from watson.cli.help import add
from watson.cli.labelled import SNAPSHOT, labelled
from watson.cli.options import Json
from watson.cli.printing import one_line, print_json, print_rows
from watson.cli.registering import register_description, segmenter_named
from watson.cli.session import command_settings, in_loop, publish_event
from watson.cli.submit_training import submit_training
from watson.errors import UserError
from watson.events import ModelEvaluated
from watson.events import TrainingOptions as EventOptions
from watson.training.options import TrainingOptions

if TYPE_CHECKING:
    from watson.training.evaluation import Evaluation
    from watson.training.place import TrainingPlace
    from watson.training.train import Trained

__all__ = ["register"]

Dataset = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        metavar="DATA",
        help="Labelled pictures: COCO .json, OpenImages .csv, VOC or Watson folder, or snapshot:ID.",
    ),
]
Images = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where its pictures are; guessed from the dataset if not given.")
]

_DEFAULTS = TrainingOptions()
_CACHE_GB = 4
_PLAIN_STEPS = 10

Report = Callable[..., None]


def _train(
    dataset: Dataset,
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="Of the model.")],
    base: Annotated[
        str,
        typer.Option(metavar="NETWORK", help="The frozen network: efficientnet_lite0, mobilenet_v3_large or resnet50."),
    ] = _DEFAULTS.base,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to make; the name if not given.")
    ] = None,
    images: Images = None,
    held_out: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="FRACTION", help="Of the pictures: to measure with, not to learn from."),
    ] = EventOptions().held_out,
    held_out_dataset: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Hold out its pictures instead, and learn from the whole dataset."),
    ] = None,
    side: Annotated[
        int,
        typer.Option(
            min=64, max=2048, metavar="PIXELS", help="Pictures are seen at this size squared; a multiple of 32."
        ),
    ] = _DEFAULTS.side,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Rounds at most.")] = _DEFAULTS.epochs,
    patience: Annotated[
        int, typer.Option(min=1, metavar="N", help="Stop after so many rounds without a better one.")
    ] = _DEFAULTS.patience,
    variants: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of each picture: scaled, mirrored, in another light.")
    ] = _DEFAULTS.variants,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another one gives another model.")] = _DEFAULTS.seed,
    cache: Annotated[
        float, typer.Option(min=0, metavar="GB", help="Of disk for features; what does not fit is computed anew.")
    ] = _CACHE_GB,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of the frozen network; downloaded or installed if not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a training was interrupted.")] = False,
    register_it: Annotated[
        bool, typer.Option("--register", help="Then register the model, as watson models add does.")
    ] = False,
    submit: Annotated[
        bool, typer.Option("--submit", help="Have a train worker do it, on a snapshot; the model registers itself.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model for your own categories.

    A network that knows ImageNet stays as it is; a small head learns from labelled pictures, in minutes on one core.
    DIR gets weights.safetensors, model.json and training.json. Ctrl-C stops it; the same command with --resume goes
    on, to the same result.

    Examples:
      watson train --dataset street/instances.json --name street-things
      watson train --dataset VOC2012 --name voc --base resnet50 --side 384
      watson train --dataset snapshot:3f9a51c07be2 --name street --submit
    """
    # Imported here, so that other commands do not pay seconds for torch and OpenCV.
    from watson.model.backbones import base_named, pretrained  # noqa: PLC0415 - as said above
    from watson.training.labelled import split  # noqa: PLC0415 - as said above
    from watson.training.place import TrainingPlace  # noqa: PLC0415 - as said above
    from watson.training.readers import read_dataset  # noqa: PLC0415 - as said above
    from watson.training.train import train  # noqa: PLC0415 - as said above

    _check_name(name)
    frozen = base_named(base)
    options = TrainingOptions(
        base=base,
        side=side,
        epochs=epochs,
        patience=patience,
        variants=variants,
        seed=seed,
        cache_bytes=int(cache * 1e9),
        threads=command_settings().torch_threads,
    )
    if submit:
        given = {
            "--out": out is not None,
            "--images": images is not None,
            "--held-out-dataset": held_out_dataset is not None,
            "--patience": patience != _DEFAULTS.patience,
            "--variants": variants != _DEFAULTS.variants,
            "--cache": cache != _CACHE_GB,
            "--weights": weights is not None,
            "--resume": resume,
            "--register": register_it,
        }
        untold = [option for option, is_given in given.items() if is_given]
        submit_training(dataset, name, options, held_out, untold, as_json=as_json)
        return
    place = TrainingPlace(out or Path(name))
    for path in (dataset, held_out_dataset):
        if path is not None and not str(path).startswith(SNAPSHOT):
            place.check_apart(Path(path))
    if resume and register_it and place.model.exists():  # it was trained, and then a service was away
        place.check_same(name, options.fingerprint())
        _registered(place, None, as_json=as_json)
        return
    place.check(resume=resume)
    with _progress() as report:
        data = labelled(dataset, images, place.unfinished / "snapshot", report)
    pictures = data.pictures
    if held_out_dataset is None:
        learned, measured = split(pictures, held_out, seed)
    else:
        learned, measured = pictures, read_dataset(held_out_dataset)
    backbone = pretrained(frozen, weights)
    try:
        with _progress() as report:
            trained = train(
                learned,
                measured,
                place,
                options,
                name=name,
                backbone=backbone,
                resume=resume,
                on_progress=report,
                dataset=data.snapshot,
            )
    except KeyboardInterrupt:
        typer.echo("watson: interrupted; the same command with --resume goes on where it stopped", err=True)
        raise typer.Exit(130) from None
    if register_it:
        _registered(place, trained, as_json=as_json)
        return
    if as_json:
        print_json(trained.to_json())
        return
    _show(trained.evaluation)
    typer.echo(f"The model is {trained.model}: the best of {trained.epochs} epochs, {trained.best_epoch}.", err=True)


def _check_name(name: str) -> None:
    from watson.model.registry import check_free  # noqa: PLC0415 - needed here alone

    if not is_name(name):
        raise UserError(f"{name!r} is no model name: letters, digits, dots, dashes and underscores; at most 100")
    check_free(name)


def _registered(place: TrainingPlace, trained: Trained | None, *, as_json: bool) -> None:
    from watson.model.description import read_description  # noqa: PLC0415 - needed here alone

    event = register_description(read_description(place.model))
    if as_json:
        said = {} if trained is None else trained.to_json()
        print_json(said | {"model": str(place.model), "registered": event.key, "metrics": event.metrics})
        return
    if trained is not None:
        _show(trained.evaluation)
    typer.echo(f"registered {event.key}: a job can name it, --model {event.name}")


def _evaluate(
    dataset: Dataset,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="Model name, or the folder or file of a model.")
    ],
    images: Images = None,
    record: Annotated[bool, typer.Option("--record", help="Keep it with the model: watson models show.")] = False,
    as_json: Json = False,
) -> None:
    """Measure a model on labelled pictures.

    Intersection over union over all pixels, of each category and in the mean (with background, as VOC has it, and
    without), and COCO's average precision of masks. Categories of model and dataset go together by name.

    Examples:
      watson evaluate --model street-things --dataset street/instances.json
      watson evaluate --model ./street-things --dataset VOC2012 --json
      watson evaluate --model street --dataset snapshot:3f9a51c07be2 --record
    """
    from watson.training.evaluation import evaluate  # noqa: PLC0415 - pycocotools and OpenCV take time to import

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="watson-evaluate-")))
        report = stack.enter_context(_progress())
        data = labelled(dataset, images, folder, report)
        segmenter = segmenter_named(model, stack)
        try:
            found = evaluate(segmenter, data.pictures, lambda done, total: report("evaluation", done, total))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    if record:
        info = segmenter.info
        measured = {"dataset": data.id, "images": found.pictures, "metrics": found.metrics()}
        event = ModelEvaluated(name=info.name, model_version=info.version, **measured)
        in_loop(publish_event(command_settings(), event))
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)


def _show(evaluation: Evaluation) -> None:
    rows = [(name, f"{value:.3f}") for name, value in evaluation.metrics().items()]
    rows += [(f"iou/{name}", "-") for name, value in evaluation.category_iou.items() if value is None]
    print_rows(("measure", evaluation.model), [("pictures", evaluation.pictures), *rows])


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar a stage on standard error; a line now and then where that is no terminal."""
    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(tasks[stage], completed=done, total=total, note=note)

        yield report


def _lines(console: Console) -> Report:
    said: dict[str, int] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        tenth = _PLAIN_STEPS * done // max(1, total)
        if said.get(stage) != tenth:
            said[stage] = tenth
            text = f"{stage} {done}/{total} {note}"
            console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    return report


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "train", _train)
    add(app, "evaluate", _evaluate)
