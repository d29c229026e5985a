"""One of two jobs that are compared: it may be in another catalogue than the other."""

from __future__ import annotations

from dataclasses import dataclass

from watson.storage.catalogue import Catalogue, JobRow
from watson.storage.objects import ObjectStore

__all__ = ["Side"]


@dataclass(frozen=True, slots=True)
class Side:
    """A job, and where its rows and objects are; both open."""

    catalogue: Catalogue
    objects: ObjectStore
    row: JobRow

    @property
    def job(self) -> str:
        """Its id."""
        return self.row.job.job
