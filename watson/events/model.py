"""What is known of each model."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from watson.events.event import Event, Name, Sha256, Short
from watson.events.ids import name_id

__all__ = ["ModelRegistered"]


class ModelRegistered(Event):
    """A model can be named by jobs from now on."""

    topic: ClassVar[str] = "models"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "model-registered"

    name: Name
    model_version: Short = Field(description="first 12 hexadecimal digits of sha256(weights sha256 + configuration)")
    model_kind: Short = Field(description="which code runs it, for example efficientnet-lite0-cam")
    weights_sha256: Sha256
    categories: tuple[Short, ...]
    licence: Short = ""
    description: str = Field(default="", max_length=4000)
    metrics: dict[str, float] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The model's name and version: compaction keeps each version's newest record."""
        return f"{self.name}@{self.model_version}"

    @property
    def id(self) -> UUID:
        """One for each version of a model."""
        return name_id(self.kind, self.name, self.model_version)
