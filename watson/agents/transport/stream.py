"""The stream between Faust's conductor and the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from faust.streams import Stream, _CStreamIterator

__all__ = ["CorrectedStream"]

if _CStreamIterator is None:  # pragma: no cover - every wheel has it
    raise ImportError(
        "Faust's compiled stream iterator is missing (faust/_cython/streams). The Python one acknowledges events that "
        "it skips, which loses them. Install faust-streaming from a wheel, or build it with Cython and a C compiler."
    )


class CorrectedStream(Stream):  # type: ignore[misc]  # Faust is untyped
    """Faust's, with corrections f and g: only an event whose body came to its end is acknowledged.

    Stock acknowledges in a ``finally`` round its ``yield``. That also runs when the agent is cancelled (a stop, a
    rebalance) or its body raises, so that an unfinished event is committed past, and lost.
    """

    current_event: Any

    async def _c_aiter(self) -> AsyncIterator[Any]:
        self._finalized = True
        started_by_aiter = await self.maybe_start()
        iterator = _CStreamIterator(self)
        try:
            while not self.should_stop:
                automatic, finished = self.enable_acks, False
                value, sensor_state = await iterator.next()
                skipped = value is self._skipped_value
                try:
                    if not skipped:
                        self.events_total += 1
                        yield value
                    finished = True  # not reached by an agent that was cancelled or raised
                finally:
                    event, self.current_event = self.current_event, None
                    iterator.after(event, finished and (automatic or skipped), sensor_state)
        except StopAsyncIteration:
            return
        finally:
            self._channel_stop_iteration(self.channel)
            if started_by_aiter:
                await self.stop()
                self.service_reset()
