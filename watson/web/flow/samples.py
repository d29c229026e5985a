"""Counters that only grow, seen every few seconds: what they say of the present pace and of the last minutes.

Pure: the time is handed in, in seconds of any steady clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["BARS", "BAR_SECONDS", "Counter"]

BAR_SECONDS = 5.0
BARS = 60
"""A sparkline has so many values, each of so many seconds: five minutes."""

_KEPT_SECONDS = BARS * BAR_SECONDS + 30.0
_MOST_SAMPLES = 256
_LEAST_SECONDS = 2.0


class Counter:
    """Samples of one counter, of the last minutes: at most 256.

    A counter that falls (a log made anew, a catalogue rebuilt) begins afresh: what was before it is forgotten.
    """

    __slots__ = ("_times", "_values", "moved")

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_MOST_SAMPLES)
        self._values: deque[int] = deque(maxlen=_MOST_SAMPLES)
        self.moved: float | None = None
        """When it was last seen to grow; None where it never was."""

    @property
    def value(self) -> int:
        """The newest; 0 before the first."""
        return self._values[-1] if self._values else 0

    def note(self, time: float, value: int) -> None:
        """Add a sample; ``time`` must not be before the last one's."""
        if self._values and value < self._values[-1]:
            self._times.clear()
            self._values.clear()
        if self._values and value > self._values[-1]:
            self.moved = time
        self._times.append(time)
        self._values.append(value)
        while len(self._times) > 2 and self._times[1] <= time - _KEPT_SECONDS:
            self._times.popleft()
            self._values.popleft()

    def watched(self, now: float) -> float:
        """Seconds since the first sample that is kept."""
        return now - self._times[0] if self._times else 0.0

    def still(self, now: float) -> float:
        """Seconds without growth, as far as was watched."""
        watched = self.watched(now)
        return watched if self.moved is None else min(watched, now - self.moved)

    def rate(self, now: float, seconds: float) -> float | None:
        """Growth a second over the last ``seconds``; None where less than two seconds of them were watched."""
        if not self._times:
            return None
        start = max(self._times[0], now - seconds)
        elapsed = self._times[-1] - start
        if elapsed < _LEAST_SECONDS:
            return None
        return max(0.0, (self._values[-1] - self._at(start)) / elapsed)

    def bars(self, now: float) -> list[float | None]:
        """Growth a second in each of the last `BARS` spells, oldest first; None before the first sample."""
        newest = now - now % BAR_SECONDS
        edges = [newest - BAR_SECONDS * back for back in range(BARS, -1, -1)]
        return [self._between(start, end) for start, end in pairwise(edges)]

    def _between(self, start: float, end: float) -> float | None:
        if not self._times or self._times[0] > start:
            return None
        return max(0.0, (self._at(end) - self._at(start)) / (end - start))

    def _at(self, time: float) -> float:
        """The value at a moment: on the line between the samples before and after it."""
        times: Sequence[float] = self._times
        after = bisect_left(times, time)
        if after == 0:
            return float(self._values[0])
        if after == len(times):
            return float(self._values[-1])
        (left, right), (low, high) = (times[after - 1], times[after]), (self._values[after - 1], self._values[after])
        return low + (high - low) * (time - left) / (right - left)
