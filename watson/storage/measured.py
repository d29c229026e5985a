"""A store whose operations are counted and timed, whichever store it is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar, cast

from prometheus_client import Histogram

from watson.errors import Refused, Retriable

__all__ = ["measured"]

Store = TypeVar("Store")


def measured(store: Store, seconds: Histogram) -> Store:
    """The same store; each call of an asynchronous method is observed, by the method's name and how it ended.

    How: ``ok``; ``refused`` (`Refused`: there is no such object, it may not be read, …); ``away`` (`Retriable`);
    ``failed`` for all else. What was cancelled is not observed. Methods that give pages one after another are not
    either: how long those take is the reader's affair.

    Args:
        store: an object store or a catalogue.
        seconds: with the labels ``operation`` and ``result``.
    """
    return cast("Store", _Measured(store, seconds))


class _Measured:
    def __init__(self, store: object, seconds: Histogram) -> None:
        self._store = store
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:  # of whatever the store has
        found = getattr(self._store, name)
        if name.startswith("_") or not inspect.iscoroutinefunction(found):
            return found
        timed = self._timed(name, found)
        setattr(self, name, timed)  # found without this method the next time
        return timed

    def _timed(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def timed(*arguments: Any, **options: Any) -> Any:
            began = monotonic()
            try:
                answer = await call(*arguments, **options)
            except Exception as exc:  # what is cancelled is none: how long it would have taken is not known
                self._seconds.labels(name, _result_of(exc)).observe(monotonic() - began)
                raise
            self._seconds.labels(name, "ok").observe(monotonic() - began)
            return answer

        return timed


def _result_of(exc: Exception) -> str:
    if isinstance(exc, Refused):
        return "refused"
    return "away" if isinstance(exc, Retriable) else "failed"
