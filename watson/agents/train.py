"""train: reads ``trainings``, trains, registers the model (``models``), and emits how it ended to ``trainings``.

A training takes minutes to hours, in a process of its own. A redelivery finds the mark and does nothing; one that
failed is tried anew where it is asked for after that. A worker that died leaves a checkpoint, and the next one to have
the training goes on from it where it shares the disk. When its end was said, what a training left on disk is deleted;
of one that failed it stays.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from watson.agents.attempts import Attempts, Failure
from watson.agents.deliveries import deliveries, input_topic
from watson.agents.loop import Loop
from watson.agents.ports import Marks, Outbox
from watson.agents.role import RoleApp
from watson.agents.topics import INPUTS
from watson.agents.trainer import Trainer
from watson.agents.turns import Turns
from watson.errors import Refused
from watson.events import Event, Record, TrainingEnded, TrainingRequested
from watson.events.kept import from_kept, kept
from watson.settings import Settings

__all__ = ["TrainLink", "build"]

log = structlog.get_logger(__name__)

_MESSAGE_LIMIT = 4000


class TrainLink:
    """Does each training once: train and register, emit how it ended, mark."""

    def __init__(self, trainer: Trainer, marks: Marks, outbox: Outbox, attempts: Attempts) -> None:
        self._trainer = trainer
        self._marks = marks
        self._outbox = outbox
        self._attempts = attempts
        self._turns = Turns()
        self._one_at_a_time = asyncio.Lock()

    async def handle(self, record: Record, event: Event) -> str:
        """Process one event; returns its outcome as a metric label."""
        if not isinstance(event, TrainingRequested):
            return "ignored"
        async with self._turns.of(event.id):
            mark = self._marks.get(record.partition, event.id.bytes)
            if mark is not None and not _is_asked_again(event, mark):
                await self._tidy_again(mark)
                return "repeated"
            ended = await self._done(event)
            await self._outbox.send(ended, partition=record.partition)
            await self._marks.put(record.partition, event.id.bytes, kept(ended))
            await self._tidy(ended)
        return "emitted" if ended.state == "complete" else "failed"

    async def undecodable(self, _record: Record, refused: Refused) -> str:
        """Pass over what cannot be decoded: project sends it to the dead letters."""
        log.warning("undecodable record", why=str(refused))
        return "undecodable"

    async def _tidy_again(self, mark: bytes) -> None:
        """A worker may have died between the mark and that."""
        try:
            await self._tidy(from_kept(mark, TrainingEnded))
        except Refused as refused:  # a newer Watson kept it, and has tidied, or will
            log.warning("the mark of a training cannot be read", why=str(refused))

    async def _tidy(self, ended: TrainingEnded) -> None:
        """The registry has the model now; of a training that failed, see what there is."""
        if ended.state == "complete":
            await self._trainer.forget(ended.training)

    async def _done(self, event: TrainingRequested) -> TrainingEnded:
        with self._attempts.underway.work():  # the wait for its turn, too, is no stall
            async with self._one_at_a_time:  # outside the tries: nothing times out that has not begun
                result = await self._attempts.run(lambda: self._trainer.train(event))
        if not isinstance(result, Failure):
            log.info("trained", training=event.training, model=result.model)
            return result
        log.error("a training failed", training=event.training, why=result.message, attempts=result.attempts)
        message = result.message[:_MESSAGE_LIMIT]
        return TrainingEnded(training=event.training, state="failed", message=message)


def _is_asked_again(event: TrainingRequested, mark: bytes) -> bool:
    """Whether the training failed, and this was asked after that."""
    try:
        ended = from_kept(mark, TrainingEnded)
    except Refused:  # a newer Watson kept it
        return False
    return ended.state == "failed" and event.time > ended.time


def build(settings: Settings) -> RoleApp:
    """The train worker's app."""
    app = RoleApp("train", settings)
    patient = settings.model_copy(update={"attempt_timeout": settings.training_timeout})
    attempts = Attempts.of("train", patient)
    app.ends_by_itself = attempts.busy
    link = TrainLink(
        Trainer(settings.state_dir / "trainings"),
        app.mark_table("marks", source="trainings"),
        Outbox(app, "train", settings.topic_prefix, settings.partitions),
        attempts,
    )
    loop = Loop("train", link.handle, link.undecodable, settings.window)

    @app.agent(input_topic(app, settings.topic_prefix, INPUTS["train"]), name="train")  # type: ignore[untyped-decorator]
    async def consume(stream: Any) -> None:
        await loop.consume(deliveries(stream, settings.topic_prefix))

    return app
