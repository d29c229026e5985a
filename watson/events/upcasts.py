"""Old wire forms become today's: pure functions dict → dict, one a step, in a table by kind and version.

To change an event's wire form: raise its ``version``, add a step from the old version here, and keep a golden example
of the old version in ``tests/events/golden/``. Steps are applied one after another until today's version is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["UPCASTS", "Upcast", "upcast"]

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[tuple[str, int], Upcast] = {}
"""(kind, version) → the step from that version to the next."""


def upcast(
    kind: str, version: int, newest: int, data: dict[str, Any], table: dict[tuple[str, int], Upcast] | None = None
) -> dict[str, Any]:
    """Bring ``data`` from ``version`` to ``newest``.

    Raises:
        LookupError: a step is missing from the table.
    """
    steps = UPCASTS if table is None else table
    for step in range(version, newest):
        try:
            data = steps[kind, step](data)
        except KeyError:
            raise LookupError(f"no upcast of {kind} from version {step} to {step + 1}") from None
    return data
