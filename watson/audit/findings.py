"""What an audit finds, and what it counts. docs/operations.md says of each kind what it means and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args
from uuid import UUID

from watson.events import JobState

__all__ = ["KINDS", "Audit", "Finding", "Kind"]

Kind = Literal[
    "job-unknown",
    "not-discovered",
    "not-in-source",
    "never-discovered",
    "mask-twice",
    "job-row-missing",
    "job-row-differs",
    "model-row-missing",
    "count-wrong",
    "row-missing",
    "row-differs",
    "row-twice",
    "row-without-event",
    "mask-row-missing",
    "mask-row-differs",
    "mask-row-without-event",
    "letter-missing",
    "letter-without-event",
    "object-missing",
    "object-altered",
    "quarantined-for-object",
]

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is off. ``object_key`` names the object that it is about, where it is about one."""

    kind: Kind
    image_key: str | None
    detail: str
    object_key: str | None = None


@dataclass(slots=True)
class Audit:
    """The result. ``clean``: nothing is off; ``closed``: and the job is done, so that the ledger closes.

    Attributes:
        state: the job's newest, as the log says it; None where it says none.
        unlisted: entries of the source that a listing which did not come to its end has not reached.
    """

    job: str
    state: JobState | None = None
    listed: int | None = None
    unlisted: int = 0
    discovered: int = 0
    preprocessed: int = 0
    segmented: int = 0
    catalogued: int = 0
    quarantined: int = 0
    in_flight: int = 0
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is off."""
        return not self.findings

    @property
    def closed(self) -> bool:
        """Whether nothing is off, all of the source was listed and every image has ended."""
        return self.clean and not (self.running or self.unlisted or self.in_flight)

    @property
    def running(self) -> bool:
        """Whether rows are still being written, so that they cannot be held against a log that was read before."""
        return self.state in ("listing", "draining")

    @property
    def counts(self) -> dict[str, int]:
        """What the catalogue should say that each stage did."""
        return {
            "discovered": self.discovered,
            "preprocessed": self.preprocessed,
            "segmented": self.segmented,
            "catalogued": self.catalogued,
            "quarantined": self.quarantined,
        }

    def add(self, kind: Kind, image: UUID | None, detail: str, *, object_key: str | None = None) -> None:
        """Note one thing that is off."""
        self.findings.append(Finding(kind, str(image) if image is not None else None, detail, object_key))
