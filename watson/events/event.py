"""What all events have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
)

from watson.events.ids import name_id

__all__ = [
    "Accusation",
    "Box",
    "Count",
    "Event",
    "JobId",
    "Message",
    "Moment",
    "Name",
    "Object",
    "Sha256",
    "Short",
    "now",
]

JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""1 to 100 letters, digits, ``.``, ``_`` and ``-``: safe in a path, a metric, a URL and a CQL literal."""

Name = JobId
"""Names of datasets and models obey the same rule."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Short = Annotated[str, StringConstraints(max_length=200)]
"""Names of things: of a category, a format, a version. Whatever an event holds is bounded, for it is kept and passed on
many times: in later events, in the tables' changelogs, in the catalogue (where a key may have 64 kB)."""

Object = Annotated[str, StringConstraints(max_length=1024)]
"""A key in the object store. Source: Amazon S3 User Guide, "Naming Amazon S3 objects": at most 1024 bytes."""

_MESSAGE = 4000
_ACCUSATION = 1000


def _said(text: object, limit: int) -> object:
    if not isinstance(text, str):
        return text
    valid = text.encode("utf-8", "backslashreplace").decode()
    return valid if len(valid) <= limit else f"{valid[: limit - 1]}…"


Message = Annotated[str, Field(max_length=_MESSAGE), BeforeValidator(partial(_said, limit=_MESSAGE))]
"""Says to people why something failed. It is made of whatever failed: an exception's text, a host's answer, the names
in somebody's list, which need be neither short nor Unicode (Python decodes bytes to lone surrogates in many places). An
event that could not be made of it would end its worker, again and again, so it is never refused: what is no character
is written as its escape, what is too long is cut. For names and references that would be wrong: those are refused."""

Accusation = Annotated[str, Field(max_length=_ACCUSATION), BeforeValidator(partial(_said, limit=_ACCUSATION))]
"""A shorter message, for events that are said several times a second."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A whole number that every JSON reader keeps exactly, and every database has room for."""

Box = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
"""x, y, width, height in pixels of the normalised picture, origin at the top left (COCO's ``bbox``)."""


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def _storable(time: datetime) -> datetime:
    if not 1 < time.year < 9999:  # at the edges, UTC may be beyond what a datetime holds
        raise ValueError("a year from 2 to 9998 is wanted")
    return time


Moment = Annotated[AwareDatetime, AfterValidator(_storable)]


class Event(BaseModel):
    """A fact, past tense, that never changes: frozen, closed, JSON on the wire.

    Class variables: ``topic`` is the topic's name without prefix, ``version`` counts up from 1 with each change of
    the wire form, ``kind`` names the event in the CloudEvents type ``watson.<kind>.v<version>``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    topic: ClassVar[str]
    version: ClassVar[int]
    kind: ClassVar[str]

    time: Moment = Field(default_factory=now, description="When it happened; last writer wins by it.")

    @property
    def id(self) -> UUID:
        """Deterministic id (``ce_id``): the same fact has the same id however often it is said."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The Kafka key: what must stay in order, and so in one partition."""
        raise NotImplementedError


class JobEvent(Event):
    """An event keyed by the job."""

    job: JobId

    @property
    def key(self) -> str:
        """The job id."""
        return self.job

    @property
    def id(self) -> UUID:
        """One of this kind for each job."""
        return name_id(self.kind, self.job)


class ImageEvent(Event):
    """An event of one image of one job, keyed by the image."""

    job: JobId
    image_key: UUID

    @property
    def key(self) -> str:
        """The image key."""
        return str(self.image_key)
