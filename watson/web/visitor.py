"""Who asks, and what they may do; for the templates, which show no button that would be refused."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

__all__ = ["Visitor", "come", "visitor"]


@dataclass(slots=True)
class Visitor:
    """Who asks.

    Attributes:
        may_change: whether changing actions of theirs are carried out.
        why_not: what they can do about it, where not.
        can_log_in: whether the server takes a token and they have not given it.
        can_log_out: whether they have.
        csrf_token: makes the secret of their forms, and with it their session where they have none.
    """

    may_change: bool = False
    why_not: str = "This server only shows."
    can_log_in: bool = False
    can_log_out: bool = False
    csrf_token: Callable[[], str] = field(default=str)


# Every page is rendered while a request is handled, but the functions that render do not know it: asyncio keeps it for
# each request. It is not taken back at its end: an error's page is rendered after that, in the same task.
_CURRENT: ContextVar[Visitor | None] = ContextVar("visitor", default=None)


def come(one: Visitor) -> None:
    """Remember who asks, for the rest of this request."""
    _CURRENT.set(one)


def visitor() -> Visitor:
    """Who asks now; on the servers of other roles, which have nothing to change, somebody who may only look."""
    return _CURRENT.get() or Visitor()
