"""What a source lists: entries, in batches, each with a place to go on from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Batch", "Entry", "Lister"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture, as the source lists it. ``size`` in bytes; None where the listing does not say.

    ``uri`` is canonical (`watson.sources.uris`): the same picture has the same URI in every listing. ``within`` is the
    URI of the directory that a file must not lead out of; None where it may be anywhere.
    """

    uri: str
    size: int | None = None
    etag: str | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some entries, and the opaque text that continues the listing right after them, from any process."""

    entries: tuple[Entry, ...]
    cursor: str


class Lister(Protocol):
    """A source, open for listing. The same source gives the same entries in the same order, however it is cut up."""

    def batches(self, cursor: str | None, page_size: int) -> AsyncIterator[Batch]:
        """Batches of at most ``page_size`` entries, never empty, from ``cursor`` (None: the beginning) to the end.

        Raises:
            UserError: the source cannot be listed, or ``cursor`` is not a place in it; says what and where.
            Retriable: the cause can pass; go on from the last batch's cursor.
        """
        ...
