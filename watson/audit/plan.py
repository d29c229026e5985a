"""What to send again for what an audit found. Pure: findings in, a plan out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from watson.audit.findings import Finding, Kind

__all__ = ["REMEDIES", "Plan", "Remedy", "plan"]


class Remedy(StrEnum):
    """What a repair does about a finding, as it is said to a person."""

    SOURCE = "made anew from the source picture"
    PICTURE = "segmented anew"
    ROWS = "rows written again from the log"
    LETTERS = "dead letter written again from the log"
    JOB = "job row and counts written again"
    MODEL = "model row written again from the log"
    NONE = "not repaired: see docs/operations.md"


REMEDIES: dict[Kind, Remedy] = {
    "job-unknown": Remedy.NONE,
    "not-discovered": Remedy.NONE,
    "not-in-source": Remedy.NONE,
    "never-discovered": Remedy.NONE,
    "mask-twice": Remedy.NONE,
    "job-row-missing": Remedy.JOB,
    "job-row-differs": Remedy.JOB,
    "model-row-missing": Remedy.MODEL,
    "count-wrong": Remedy.JOB,
    "row-missing": Remedy.ROWS,
    "row-differs": Remedy.ROWS,
    "row-twice": Remedy.NONE,
    "row-without-event": Remedy.NONE,
    "mask-row-missing": Remedy.ROWS,
    "mask-row-differs": Remedy.ROWS,
    "mask-row-without-event": Remedy.NONE,
    "letter-missing": Remedy.LETTERS,
    "letter-without-event": Remedy.LETTERS,
    "object-missing": Remedy.SOURCE,
    "object-altered": Remedy.SOURCE,
    "quarantined-for-object": Remedy.SOURCE,
}
"""By kind. Masks are made anew from the normalised picture (`Remedy.PICTURE`), where that is whole."""


@dataclass(slots=True)
class Plan:
    """What is to be sent again.

    Attributes:
        remedies: number of findings by kind and remedy, to be said.
        source: images whose ``ImageDiscovered`` is sent, to be done anew from there on.
        picture: images whose ``ImagePreprocessed`` is sent, to be done anew from there on.
        rows: images whose ``ImageCatalogued`` is sent to the projection.
        letters: images whose dead letters are sent to the projection.
        job: whether the job's owner is to say its state again, and the projection its counts.
        model: whether the job's models are sent to the projection.
        redrive: whether every image of the job is sent down the line for its stored outcomes, without work.
    """

    remedies: Counter[tuple[Kind, Remedy]] = field(default_factory=Counter)
    source: set[UUID] = field(default_factory=set)
    picture: set[UUID] = field(default_factory=set)
    rows: set[UUID] = field(default_factory=set)
    letters: set[UUID] = field(default_factory=set)
    job: bool = False
    model: bool = False
    redrive: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        images = self.source or self.picture or self.rows or self.letters
        return bool(images or self.job or self.model or self.redrive)

    def leave_out(self, tried: Plan) -> None:
        """Do not send again what was sent before and did not help."""
        self.source -= tried.source
        self.picture -= tried.picture
        self.rows -= tried.rows
        self.letters -= tried.letters
        self.job &= not tried.job
        self.model &= not tried.model
        self.redrive &= not tried.redrive


def plan(findings: Iterable[Finding], known: frozenset[UUID], *, again: bool = False) -> Plan:
    """Make a plan.

    Args:
        findings: of an audit.
        known: images that the log has dead letters of: there is something to write for an open letter.
        again: the same was tried before, and it did not help: counts that are still wrong mean that the projection
            never saw some events, and every image is sent down the line.
    """
    made = Plan()
    for finding in findings:
        image = UUID(finding.image_key) if finding.image_key is not None else None
        remedy = _remedy(finding, image, known)
        made.remedies[finding.kind, remedy] += 1
        if image is not None:
            _image(made, remedy, image, finding.kind)
        made.job |= remedy is Remedy.JOB
        made.model |= remedy is Remedy.MODEL
        made.redrive |= again and finding.kind == "count-wrong"
    made.picture -= made.source  # from the source on is the whole way
    return made


def _remedy(finding: Finding, image: UUID | None, known: frozenset[UUID]) -> Remedy:
    remedy = REMEDIES[finding.kind]
    if remedy is Remedy.SOURCE and (finding.object_key or "").startswith("masks/"):
        return Remedy.PICTURE
    if finding.kind == "letter-without-event" and image not in known:
        return Remedy.NONE
    return remedy


def _image(made: Plan, remedy: Remedy, image: UUID, kind: Kind) -> None:
    if remedy is Remedy.SOURCE:
        made.source.add(image)
    elif remedy is Remedy.PICTURE:
        made.picture.add(image)
    elif remedy is Remedy.ROWS:
        made.rows.add(image)
    elif remedy is Remedy.LETTERS:
        made.letters.add(image)
        if kind == "letter-without-event":  # it is open though the image was catalogued after all
            made.rows.add(image)
