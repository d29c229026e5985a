"""Reading across the partitions of a job: in order, with bounded concurrency, and no further than the page needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from watson.storage.cassandra_statements import BUCKETS, bucket_of
from watson.storage.cursors import Position

__all__ = ["Fetch", "in_waves", "rows_across_buckets"]

WIDEST_WAVE = 32  # partitions read at the same time for one caller

Item = TypeVar("Item")
Key = TypeVar("Key")

Fetch = Callable[[int, Position | None, int], Awaitable[Sequence[Item]]]
"""(bucket, the position to go on behind, limit) → rows in order; fewer than the limit only at the bucket's end."""


async def rows_across_buckets(fetch: Fetch[Item], after: Position | None, wanted: int) -> list[Item]:
    """The first ``wanted`` rows behind ``after``, in the order of buckets.

    The first wave is one bucket, which fills the page of a large job; each further wave is twice as wide, so that
    the 256 nearly empty buckets of a small job take a dozen round trips.
    """
    first = 0 if after is None else bucket_of(after.key)
    rows: list[Item] = []
    width = 1
    while first < BUCKETS and len(rows) < wanted:
        limit = wanted - len(rows)
        last = min(first + width, BUCKETS)
        start = after if not rows else None
        wave = [
            fetch(bucket, start if start is not None and bucket == bucket_of(start.key) else None, limit)
            for bucket in range(first, last)
        ]
        for part in await asyncio.gather(*wave):
            rows.extend(part)
        first, width = last, min(2 * width, WIDEST_WAVE)
    return rows[:wanted]


async def in_waves(read: Callable[[Key], Awaitable[Item]], keys: Iterable[Key]) -> list[Item]:
    """Do ``read`` for each key, a bounded number at the same time; results in the order of the keys."""
    remaining = iter(keys)
    results: list[Item] = []
    while wave := list(islice(remaining, WIDEST_WAVE)):
        results.extend(await asyncio.gather(*map(read, wave)))
    return results
