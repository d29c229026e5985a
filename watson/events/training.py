"""A model is to be trained on a snapshot of a dataset, and what became of that."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from watson.events.event import Event, JobId, Message, Name, Sha256, Short
from watson.events.ids import name_id
from watson.events.model import Metrics

__all__ = ["TrainingEnded", "TrainingOptions", "TrainingRequested"]


class TrainingOptions(BaseModel):
    """How it is trained. The same options, snapshot and base give the same model on the same kind of machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: Annotated[int, Field(ge=32, le=4096, description="pixels of the square that pictures are scaled to")] = 256
    epochs: Annotated[int, Field(ge=1, le=10_000, description="at most; fewer where it gets no better")] = 30
    held_out: Annotated[float, Field(gt=0, lt=1, description="fraction of the pictures to measure on")] = 0.2
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0


class TrainingRequested(Event):
    """A model is wanted, trained on a snapshot; it registers itself when it is ready."""

    topic: ClassVar[str] = "trainings"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "training-requested"

    training: JobId = Field(description="names the training; the same again is the same training")
    name: Name = Field(description="of the model")
    base: Short = Field(description="backbone: efficientnet_lite0, or one of torchvision's")
    snapshot: Sha256 = Field(description="of the dataset, in the object store")
    options: TrainingOptions = TrainingOptions()

    @property
    def key(self) -> str:
        """The training's id."""
        return self.training

    @property
    def id(self) -> UUID:
        """One for each training."""
        return name_id(self.kind, self.training)


class TrainingEnded(Event):
    """A training ended: its model was registered, or it failed for good."""

    topic: ClassVar[str] = "trainings"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "training-ended"

    training: JobId
    state: Literal["complete", "failed"]
    model: Short = Field(default="", description="name@version of the model that was registered")
    metrics: Metrics = Field(default_factory=dict, description="on the held-out pictures")
    message: Message = Field(default="", description="why it failed")

    @property
    def key(self) -> str:
        """The training's id."""
        return self.training

    @property
    def id(self) -> UUID:
        """One for each training and end."""
        return name_id(self.kind, self.training, self.state, self.model)
