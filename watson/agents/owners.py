"""The owners of a partition, numbered in the order in which they took it over: so one knows an earlier one's word.

Kafka fences no plain producer: a worker that was believed dead may still write what it had begun, behind what its heir
wrote. What carries its writer's number, and is kept under a key with that number, such a worker cannot undo.
"""

from __future__ import annotations

from time import time_ns

from watson.agents.ports import Marks

__all__ = ["next_owner", "owned_key"]

_OWNER = "owner"


def owned_key(key: str, owner: int) -> bytes:
    """The key under which one owner keeps something: those of later owners sort after it."""
    return f"{key}/{owner:016d}".encode()


async def next_owner(marks: Marks, partition: int) -> int:
    """The number of whoever takes a partition over now, greater than all before; kept before it is used.

    It is the time, in milliseconds since 1970, unless the clock is behind an earlier owner's: so two that did not see
    each other's mark have different ones, too.
    """
    keys = [key for key, _ in marks.items(partition, f"{_OWNER}/".encode())]
    owner = max(time_ns() // 1_000_000, *(int(key.rpartition(b"/")[2]) + 1 for key in keys), 0)
    await marks.put(partition, owned_key(_OWNER, owner), b"1")
    for key in keys:  # after it, or a crash would leave none
        await marks.put(partition, key, None)
    return owner
