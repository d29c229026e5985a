"""Dead letters, not silence."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from watson.errors import ReasonCode
from watson.events.event import Count, Event, JobId, Message, Short
from watson.events.ids import event_id, name_id
from watson.events.image import Stage

__all__ = ["FailedRecord", "ImageQuarantined"]


class FailedRecord(BaseModel):
    """The Kafka record that could not be processed, byte for byte unless it is cut, and where it stands in the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    topic: Annotated[str, Field(max_length=300)]
    partition: Count
    offset: Count | None = Field(
        description="None where it is not known: of an image that vanished, discover keeps the event and not its place"
    )
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    cut: bool = Field(
        default=False,
        description="whether this is only the beginning of the key, the value or the headers; all stands in the log",
    )


class ImageQuarantined(Event):
    """An image (or an event that cannot be decoded) left the chain, and why.

    ``job`` and ``image_key`` are None only where the event could not be decoded far enough to know them.
    """

    topic: ClassVar[str] = "dead-letters"
    version: ClassVar[int] = 2
    kind: ClassVar[str] = "image-quarantined"

    job: JobId | None
    image_key: UUID | None
    uri: str | None = Field(default=None, max_length=8192, description="of the original, where known")
    stage: Stage
    reason: ReasonCode
    message: Message
    failed: FailedRecord
    attempts: Count = Field(ge=1)
    code_version: Short

    @property
    def key(self) -> str:
        """The image key; for an undecodable event, its place in the log."""
        if self.image_key is not None:
            return str(self.image_key)
        return f"{self.failed.topic}/{self.failed.partition}/{self.failed.offset}"

    @property
    def id(self) -> UUID:
        """One for each image of a job and stage; for an undecodable event, one for its place in the log."""
        if self.job is not None and self.image_key is not None:
            return event_id(self.job, self.image_key, "quarantined", self.stage)
        return name_id("undecodable", self.failed.topic, str(self.failed.partition), str(self.failed.offset))
