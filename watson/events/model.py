"""What is known of each model: that it can be named, how it did on a dataset, that it is no longer to be used."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field, FiniteFloat, JsonValue

from watson.events.event import Count, Event, Name, Sha256, Short
from watson.events.ids import name_id

__all__ = ["Configuration", "Metrics", "ModelEvaluated", "ModelRegistered", "ModelWithdrawn"]

_MOST_CONFIGURATION_BYTES = 65_536


def _small(configuration: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        size = len(json.dumps(configuration, allow_nan=False))
    except ValueError as exc:  # JSON has no infinity: a reader could not tell which configuration it was
        raise ValueError(f"the configuration is not JSON: {exc}") from exc
    if size > _MOST_CONFIGURATION_BYTES:
        raise ValueError(f"the configuration has {size} bytes as JSON, more than {_MOST_CONFIGURATION_BYTES}")
    return configuration


Configuration = Annotated[dict[str, JsonValue], AfterValidator(_small)]
"""What decides a model's results besides its weights; every default is written out."""

Metrics = Annotated[dict[Short, FiniteFloat], Field(max_length=10_000)]
"""Name → value, for example ``mean_iou`` or ``iou/tabby``; 0–1 unless the name says otherwise."""


class ModelEvent(Event):
    """An event of one version of a model, keyed by it: compaction keeps the newest record of each."""

    topic: ClassVar[str] = "models"

    name: Name
    model_version: Short = Field(description="first 12 hexadecimal digits of sha256(weights sha256 + configuration)")

    @property
    def key(self) -> str:
        """The model's name and version: compaction keeps each version's newest record."""
        return f"{self.name}@{self.model_version}"

    @property
    def id(self) -> UUID:
        """One for each version of a model."""
        return name_id(self.kind, self.name, self.model_version)


class ModelRegistered(ModelEvent):
    """A model can be named by jobs from now on."""

    version: ClassVar[int] = 2
    kind: ClassVar[str] = "model-registered"

    model_kind: Short = Field(description="which code runs it, for example efficientnet-lite0-cam")
    weights_sha256: Sha256
    weights_size: Count = Field(default=0, description="bytes in the object store; 0 of a model that Watson brings")
    categories: tuple[Short, ...]
    configuration: Configuration = Field(
        default_factory=dict, description="what decides the result besides the weights, the input's form among it"
    )
    licence: Short = ""
    description: str = Field(default="", max_length=4000)
    metrics: Metrics = Field(default_factory=dict, description="as its training measured them")
    base: Short = Field(default="", description="the model or backbone that it was trained from")
    dataset: Short = Field(default="", description="the snapshot, or the hash of the data, that it was trained on")


class ModelWithdrawn(ModelEvent):
    """A version of a model is not to be named by further jobs. Its objects stay: masks in datasets refer to them.

    Under the key of its `ModelRegistered`: compaction leaves the newer of the two.
    """

    version: ClassVar[int] = 1
    kind: ClassVar[str] = "model-withdrawn"


class ModelEvaluated(ModelEvent):
    """How a version of a model did on labelled data. Of two evaluations on one dataset the newer counts."""

    version: ClassVar[int] = 1
    kind: ClassVar[str] = "model-evaluated"

    dataset: Short = Field(min_length=1, description="the snapshot, or the hash of the labelled data")
    images: Count
    metrics: Metrics

    @property
    def key(self) -> str:
        """The model's name and version, and the dataset."""
        return f"{self.name}@{self.model_version}/{self.dataset}"

    @property
    def id(self) -> UUID:
        """One for each version of a model and dataset."""
        return name_id(self.kind, self.name, self.model_version, self.dataset)
