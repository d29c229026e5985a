"""Bounds how often a token can be guessed: after a few wrong ones, each waits twice as long as the one before."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable

from cachetools import TTLCache

__all__ = ["Tries"]

_FREE = 5
_LONGEST_SECONDS = 300.0
_FORGET_SECONDS = 3600.0
_MOST_PEERS = 4096


class Tries:
    """Counts wrong tokens by the address they came from; of IPv6, by the network that one customer has."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: TTLCache[str, tuple[int, float]] = TTLCache(_MOST_PEERS, _FORGET_SECONDS, timer=clock)

    def wait(self, peer: str | None) -> int:
        """Seconds that this address must wait before another token is looked at; 0 where it need not."""
        count, last = self._wrong.get(_network(peer), (0, 0.0))
        if count < _FREE:
            return 0
        pause = min(_LONGEST_SECONDS, 2.0 ** (count - _FREE))
        return max(0, math.ceil(last + pause - self._clock()))

    def failed(self, peer: str | None) -> None:
        """A token was wrong."""
        count, _ = self._wrong.get(_network(peer), (0, 0.0))
        self._wrong[_network(peer)] = (count + 1, self._clock())

    def succeeded(self, peer: str | None) -> None:
        """A token was right."""
        self._wrong.pop(_network(peer), None)


def _network(peer: str | None) -> str:
    try:
        address = ipaddress.ip_address((peer or "").partition("%")[0])
    except ValueError:
        return "?"
    return str(ipaddress.ip_network((address, 64 if address.version == 6 else 32), strict=False))
