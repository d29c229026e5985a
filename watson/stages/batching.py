"""Micro-batches: pictures that different events bring meet in one call of the model, and part again afterwards."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from watson.errors import ReasonCode, Refused, Retriable

__all__ = ["MicroBatcher"]

log = structlog.get_logger(__name__)

Group = TypeVar("Group", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

_CLOSING = 5.0
"""Seconds that `MicroBatcher.close` waits for the batch that is computed."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    """An item that waits for its batch. ``since`` in the event loop's seconds."""

    item: Item
    since: float
    answer: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class MicroBatcher(Generic[Group, Item, Result]):
    """Collects items into batches of one group and computes them, one batch at a time, in a thread of its own.

    A batch starts when it is full, or when its first item has waited long enough. While one is computed, the next
    ones are collected. An item that makes the computation fail does not fail its batch-mates.
    """

    def __init__(
        self,
        compute: Callable[[Group, Sequence[Item]], Sequence[Result]],
        *,
        batch_size: int,
        batch_wait: float,
        timeout: float,
    ) -> None:
        """Set up; nothing runs before `open`.

        Args:
            compute: makes one result of each item, in order. Called in one thread, never twice at once.
            batch_size: most items of a batch.
            batch_wait: seconds that the first item of a batch waits for others.
            timeout: seconds from `submit` to its result.
        """
        self._compute = compute
        self._batch_size = batch_size
        self._batch_wait = batch_wait
        self._timeout = timeout
        self._queues: dict[Group, deque[_Waiting[Item, Result]]] = {}
        self._sizes: dict[Group, int] = {}  # of groups that ran out of memory at the full size
        self._arrived = asyncio.Event()
        self._thread: ThreadPoolExecutor | None = None
        self._runner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the thread and the task that feeds it."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._runner = asyncio.create_task(self._run(), name="micro-batches")

    async def close(self) -> None:
        """Stop. Who still waits gets `Retriable`; a batch that is computed gets a few seconds to end."""
        runner, thread, self._runner, self._thread = self._runner, self._thread, None, None
        if runner is None or thread is None:
            return
        runner.cancel()
        await asyncio.wait([runner])
        for queue in self._queues.values():
            _fail(queue, Retriable("the worker is stopping"))
        self._queues.clear()
        thread.shutdown(wait=False, cancel_futures=True)
        try:
            async with asyncio.timeout(_CLOSING):
                await asyncio.to_thread(thread.shutdown)
        except TimeoutError:
            log.warning("the model is still computing; not waiting for it", seconds=_CLOSING)

    async def submit(self, item: Item, group: Group) -> Result:
        """Return what the computation makes of ``item``, in a batch with others of its group.

        Raises:
            Refused: ``MODEL_FAILED``; the computation raises for this item alone. Says the exception.
            Retriable: there was no memory even for this item alone, no result in time, or the batcher is closed.
        """
        if self._runner is None or self._runner.done():
            raise Retriable("the worker is stopping: its model takes no more pictures")
        waiting = _Waiting[Item, Result](item, asyncio.get_running_loop().time())
        self._queues.setdefault(group, deque()).append(waiting)
        self._arrived.set()
        try:
            async with asyncio.timeout(self._timeout):
                return await waiting.answer
        except TimeoutError as exc:
            raise Retriable(f"the model gave no result within {self._timeout:g} s", ReasonCode.MODEL_FAILED) from exc

    async def _run(self) -> None:
        while True:
            group = await self._ready_group()
            queue = self._queues[group]
            batch = [queue.popleft() for _ in range(min(len(queue), self._size(group)))]
            if not queue:
                del self._queues[group]
            try:
                await self._answer(group, batch)
            except asyncio.CancelledError:
                _fail(batch, Retriable("the worker is stopping"))
                raise

    async def _ready_group(self) -> Group:
        """Wait for a batch: the group whose first item has waited longest and long enough, else one that is full."""
        while True:
            self._arrived.clear()
            self._forget_cancelled()
            now = asyncio.get_running_loop().time()
            pause: float | None = None
            if self._queues:
                oldest = min(self._queues, key=lambda group: self._queues[group][0].since)
                pause = self._queues[oldest][0].since + self._batch_wait - now
                if pause <= 0:
                    return oldest
                for group, queue in self._queues.items():
                    if len(queue) >= self._size(group):
                        return group
            try:
                async with asyncio.timeout(pause):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    def _forget_cancelled(self) -> None:
        for group, queue in list(self._queues.items()):
            kept = deque(waiting for waiting in queue if not waiting.answer.done())
            if kept:
                self._queues[group] = kept
            else:
                del self._queues[group]

    async def _answer(self, group: Group, batch: Sequence[_Waiting[Item, Result]]) -> None:
        """Compute a batch and hand out the results; after a failure compute smaller ones."""
        try:
            results = await self._computed(group, [waiting.item for waiting in batch])
        except Exception as exc:  # noqa: BLE001 - whatever a model raises is the answer to who waits
            await self._after_failure(group, batch, exc)
            return
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(result)

    async def _computed(self, group: Group, items: Sequence[Item]) -> Sequence[Result]:
        results = await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, group, items)
        if len(results) != len(items):
            raise RuntimeError(f"{len(results)} results for {len(items)} pictures")
        return results

    async def _after_failure(self, group: Group, batch: Sequence[_Waiting[Item, Result]], exc: Exception) -> None:
        if len(batch) == 1:
            _fail(batch, _verdict(exc))
            return
        size = 1
        if _out_of_memory(exc):
            size = self._sizes[group] = max(1, len(batch) // 2)
        log.warning("a batch failed; trying smaller ones", pictures=len(batch), then=size, why=repr(exc))
        for start in range(0, len(batch), size):
            part = [waiting for waiting in batch[start : start + size] if not waiting.answer.done()]
            if part:
                await self._answer(group, part)

    def _size(self, group: Group) -> int:
        return self._sizes.get(group, self._batch_size)


def _fail(batch: Sequence[_Waiting[Item, Result]] | deque[_Waiting[Item, Result]], exc: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(exc)


def _verdict(exc: Exception) -> Exception:
    """What to tell who brought the one item for which the computation raised ``exc``."""
    if isinstance(exc, Refused | Retriable):
        return exc
    said = f"{type(exc).__name__}: {exc}"
    verdict: Refused | Retriable
    if _out_of_memory(exc):
        verdict = Retriable(f"no memory for even one picture: {said}", ReasonCode.MODEL_FAILED)
    else:
        verdict = Refused(ReasonCode.MODEL_FAILED, f"the model raised {said}")
    verdict.__cause__ = exc
    return verdict


def _out_of_memory(exc: Exception) -> bool:
    # By name: torch.OutOfMemoryError, without importing torch here.
    return isinstance(exc, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(exc).__mro__)
