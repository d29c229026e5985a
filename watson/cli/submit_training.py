"""``train --submit``: a train worker is asked for a training, after all was checked that can be checked here."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from pydantic import ValidationError

from watson.actions.manifest import name_of_question
from watson.cli.labelled import SNAPSHOT
from watson.cli.printing import print_json
from watson.cli.session import command_settings, in_loop, open_objects, publish_event
from watson.errors import UserError
from watson.events import TrainingEnded, TrainingRequested
from watson.events import TrainingOptions as EventOptions
from watson.settings import Settings
from watson.training.options import TrainingOptions

__all__ = ["submit_training"]


def submit_training(
    dataset: str, name: str, options: TrainingOptions, held_out: float, untold: Sequence[str], *, as_json: bool
) -> None:
    """Ask for a training. The same question is the same training.

    Args:
        dataset: ``snapshot:`` and the first digits of an id.
        name: of the model.
        options: of which the worker is told base, side, epochs and seed.
        held_out: fraction of the pictures.
        untold: options that the user gave and that no worker is told.
        as_json: what to print.

    Raises:
        UserError: an option is untold or out of range, there is no such snapshot, or topics are missing.
        BrokerUnavailable, Retriable: a service is away; nothing was asked.
    """
    if untold:
        them = "it" if len(untold) == 1 else "them"
        raise UserError(f"a train worker is not told {', '.join(untold)}: leave {them} out with --submit")
    if not dataset.startswith(SNAPSHOT):
        raise UserError("a train worker sees no files of yours: give --dataset snapshot:ID (watson datasets snapshot)")
    asked = _asked(options, held_out)

    async def ask() -> tuple[TrainingRequested, TrainingEnded | None]:
        from watson.snapshots import find  # noqa: PLC0415 - needed here alone

        settings = command_settings()
        async with open_objects(settings) as objects:
            snapshot = (await find(objects, dataset.removeprefix(SNAPSHOT))).id
        said = f"{name}\n{options.base}\n{snapshot}\n{asked.model_dump_json()}"
        training = name_of_question(name, said)
        event = TrainingRequested(training=training, name=name, base=options.base, snapshot=snapshot, options=asked)
        before = await _end_of(training, settings)
        if before is None or before.state == "failed":
            await publish_event(settings, event)
        return event, before

    event, before = in_loop(ask())
    done = before.model if before is not None and before.state == "complete" else None
    if as_json:
        print_json({"training": event.training, "name": name, "snapshot": event.snapshot, "done": done})
    elif done:
        typer.echo(f"training {event.training} was done already: its model is {done}")
    elif before is not None:
        typer.echo(f"asked again for training {event.training}, which failed before: {before.message}")
    else:
        typer.echo(
            f"asked for training {event.training}; when it is done its model is among watson models list, and the same "
            "question asked again says how it ended"
        )


async def _end_of(training: str, settings: Settings) -> TrainingEnded | None:
    """How a training ended, as far as the log knows."""
    from watson.agents.replay import replay_events  # noqa: PLC0415 - aiokafka only where it is used

    newest: TrainingEnded | None = None
    async for event in replay_events(settings, [TrainingEnded.topic]):
        if isinstance(event, TrainingEnded) and event.training == training:
            newest = event if newest is None else max(newest, event, key=lambda one: one.time)
    return newest


def _asked(options: TrainingOptions, held_out: float) -> EventOptions:
    try:
        return EventOptions(side=options.side, epochs=options.epochs, held_out=held_out, seed=options.seed)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        option = f"--{first['loc'][0]}".replace("_", "-")
        raise UserError(f"{option} {first['input']} cannot be asked of a train worker: {first['msg']}") from exc
