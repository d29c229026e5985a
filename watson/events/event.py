"""What all events have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from watson.events.ids import name_id

__all__ = ["Box", "Event", "JobId", "Name", "Sha256", "now"]

JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""1 to 100 letters, digits, ``.``, ``_`` and ``-``: safe in a path, a metric, a URL and a CQL literal."""

Name = JobId
"""Names of datasets and models obey the same rule."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the normalised picture, origin at the top left (COCO's ``bbox``)."""


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


class Event(BaseModel):
    """A fact, past tense, that never changes: frozen, closed, JSON on the wire.

    Class variables: ``topic`` is the topic's name without prefix, ``version`` counts up from 1 with each change of
    the wire form, ``kind`` names the event in the CloudEvents type ``watson.<kind>.v<version>``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    topic: ClassVar[str]
    version: ClassVar[int]
    kind: ClassVar[str]

    time: AwareDatetime = Field(default_factory=now, description="When it happened; last writer wins by it.")

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
