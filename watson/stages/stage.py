"""What a stage of the chain is: one event in, one event out, and nothing of Kafka."""

from __future__ import annotations

from typing import Protocol, TypeVar

from watson.events import ImageEvent, Stage

__all__ = ["ChainStage"]

In_contra = TypeVar("In_contra", bound=ImageEvent, contravariant=True)


class ChainStage(Protocol[In_contra]):
    """One step of the chain. Deterministic: the same event gives the same outcome, the same ids, the same bytes.

    Its effects (objects put) are idempotent; the loop in `watson.agents` decides when to call it, dedups, retries,
    emits what it returns and dead-letters what it refuses.
    """

    name: Stage
    accepts: type[ImageEvent]

    async def open(self) -> None:
        """Get ready: called once, before the first event, in the worker's event loop."""
        ...

    async def close(self) -> None:
        """Let go of what `open` took."""
        ...

    async def handle(self, event: In_contra) -> ImageEvent:
        """Do the work for one event.

        Raises:
            Refused: the picture is the cause; quarantined with the reason.
            Retriable: the cause can pass; tried again with backoff.
        """
        ...

    async def repair(self, event: In_contra, before: ImageEvent | None) -> ImageEvent:
        """Do the work anew because something of it was lost or altered, and trust no object that cannot be proven.

        Args:
            event: what came in.
            before: what the stage said of it when it did it well; None where it never did.

        Raises:
            Refused, Retriable: as `handle`.
        """
        ...
