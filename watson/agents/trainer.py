"""Does a training in a process of its own, `watson train`, which can be stopped at any moment and goes on later."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson
import structlog
from pydantic import ValidationError

from watson import tether
from watson.errors import ReasonCode, Refused, Retriable
from watson.events import TrainingEnded, TrainingRequested

__all__ = ["Trainer", "command_of"]

log = structlog.get_logger(__name__)

_TETHERED = (sys.executable, "-E", "-S", tether.__file__)
"""It ends with this worker, however that ends."""

_USER, _UNAVAILABLE = 2, 69
_GRACE_SECONDS = 8.0
_TAIL = 2000
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def command_of(event: TrainingRequested, folder: Path) -> list[str]:
    """The arguments of ``watson`` that do a training in ``folder``, register its model, and print it as JSON."""
    options = event.options
    return [
        *("train", "--dataset", f"snapshot:{event.snapshot}", "--name", event.name, "--base", event.base),
        *("--side", str(options.side), "--epochs", str(options.epochs)),
        *("--held-out", str(options.held_out), "--seed", str(options.seed)),
        *("--out", str(folder), "--resume", "--register", "--json"),
    ]


class Trainer:
    """Runs trainings, each in a process of its own."""

    def __init__(self, folder: Path, program: Sequence[str] = (sys.executable, "-m", "watson")) -> None:
        """Take a place for checkpoints.

        Args:
            folder: one directory a training is made in it; what is there of an interrupted one is used again.
            program: what runs the command ``watson``.
        """
        self._folder = folder
        self._program = tuple(program)

    async def train(self, event: TrainingRequested) -> TrainingEnded:
        """Train and register.

        Raises:
            Refused: ``MODEL_FAILED``; it cannot be done: the snapshot or the base is unknown, too few pictures.
            Retriable: the process died, or a service does not answer.
        """
        folder = self._folder / event.training
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        log.info("training", training=event.training, model=event.name, snapshot=event.snapshot)
        process = await asyncio.create_subprocess_exec(
            *_TETHERED,
            str(os.getpid()),
            *self._program,
            *command_of(event, folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                await _end(process)
        return _ended(event, process.returncode or 0, out, err)

    async def forget(self, training: str) -> None:
        """Delete what a training left on disk, if anything; where that fails, it stays and the log says so."""
        try:
            await asyncio.to_thread(shutil.rmtree, self._folder / training)
        except FileNotFoundError:
            return
        except OSError as exc:
            log.warning("the folder of a training cannot be deleted", training=training, why=str(exc))


async def _end(process: asyncio.subprocess.Process) -> None:
    """It keeps its checkpoint; whoever has the training next goes on from there, where it is the same disk."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _ended(event: TrainingRequested, code: int, out: bytes, err: bytes) -> TrainingEnded:
    said = _ESCAPES.sub("", err.decode("utf-8", "replace")).strip()[-_TAIL:]
    if code == _USER:
        raise Refused(ReasonCode.MODEL_FAILED, said.removeprefix("watson: ") or "the training was refused")
    if code != 0:
        reason = ReasonCode.STORE_UNAVAILABLE if code == _UNAVAILABLE else ReasonCode.MODEL_FAILED
        raise Retriable(f"the training ended with code {code}: {said}", reason)
    try:
        made = orjson.loads(out)
        model, metrics = made["registered"], made["metrics"]
        return TrainingEnded(training=event.training, state="complete", model=model, metrics=metrics)
    except (ValueError, KeyError, TypeError, ValidationError) as exc:
        raise Retriable(f"the training did not say what it made: {exc}", ReasonCode.MODEL_FAILED) from exc
