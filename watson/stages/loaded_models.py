"""The models that a worker holds in memory: the few that were used last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog

from watson import metrics
from watson.errors import ReasonCode, Refused, Retriable
from watson.model.segmenter import Segmenter

__all__ = ["LoadedModels"]

log = structlog.get_logger(__name__)


class LoadedModels:
    """Loads models, each once however many ask for it, and lets go of the one not used for longest."""

    def __init__(self, load: Callable[[str], Awaitable[Segmenter]], *, most: int, timeout: float) -> None:
        """Hold nothing yet.

        Args:
            load: makes the model of a reference; blocks nothing.
            most: models held at once. A model that a batch still computes with lives on until it is done.
            timeout: seconds that `get` waits.
        """
        self._load = load
        self._most = most
        self._timeout = timeout
        self._models: OrderedDict[str, asyncio.Task[Segmenter]] = OrderedDict()

    async def get(self, reference: str) -> Segmenter:
        """Return the model of ``reference``, loading it where it is not held.

        Raises:
            Refused: ``MODEL_UNKNOWN``.
            Retriable: it could not be loaded, or not in time.
        """
        task = self._models.get(reference)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._loaded(reference), name=f"load {reference}")
            self._models[reference] = task
        self._models.move_to_end(reference)
        self._let_go()
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(task)  # who asks may be cancelled; others wait for the same load
        except TimeoutError as exc:
            message = f"the model {reference} was not loaded within {self._timeout:g} s"
            raise Retriable(message, ReasonCode.MODEL_FAILED) from exc

    def close(self) -> None:
        """Let go of all."""
        for task in self._models.values():
            task.cancel()
        self._models.clear()

    async def _loaded(self, reference: str) -> Segmenter:
        log.info("loading a model", model=reference)
        try:
            with metrics.MODEL_LOAD_SECONDS.time():
                return await self._load(reference)
        except (Refused, Retriable):
            raise
        except Exception as exc:  # not the picture's fault: another try, or another worker, may have better luck
            message = f"the model {reference} could not be loaded: {type(exc).__name__}: {exc}"
            raise Retriable(message, ReasonCode.MODEL_FAILED) from exc

    def _let_go(self) -> None:
        for reference in list(self._models)[:-1]:  # the last is the one that is asked for
            if len(self._models) <= self._most:
                return
            if self._models[reference].done():
                log.info("letting go of a model", model=reference)
                del self._models[reference]
