"""Model cards: all that workers need to run a registered model, as one small object beside its weights.

A card is its own proof: the version in its key is the hash of what it says, so that neither can be changed unnoticed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from watson.errors import ReasonCode, Refused, problems_of
from watson.events import ModelRegistered
from watson.events.event import Count, Name, Sha256, Short
from watson.events.model import Configuration
from watson.model.kinds import kind_named
from watson.model.segmenter import ModelInfo, Segmenter
from watson.model.weights import model_version

__all__ = ["ModelCard", "card_key", "weights_key"]


class ModelCard(BaseModel):
    """What decides a model's results, and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    MOST_BYTES: ClassVar[int] = 4_000_000

    name: Name
    kind: Short = Field(min_length=1, description="which code runs it: a name in `watson.model.kinds.KINDS`")
    weights_sha256: Sha256
    weights_size: Count = Field(description="bytes")
    categories: tuple[Short, ...] = Field(min_length=1)
    configuration: Configuration = Field(default_factory=dict)

    @property
    def version(self) -> str:
        """12 hexadecimal digits of all that decides the result; the name and the size do not."""
        decides = {"kind": self.kind, "categories": self.categories, "configuration": self.configuration}
        return model_version(self.weights_sha256, decides)

    @property
    def reference(self) -> str:
        """``name@version``, as jobs name it."""
        return f"{self.name}@{self.version}"

    @property
    def info(self) -> ModelInfo:
        """What identifies the model to whoever runs it."""
        return ModelInfo(
            name=self.name,
            version=self.version,
            kind=self.kind,
            weights_sha256=self.weights_sha256,
            categories=self.categories,
        )

    def load(self, weights: Path, *, device: str, torch_threads: int) -> Segmenter:
        """Return the model, ready. Takes seconds; the kind imports what it needs the first time.

        Args:
            weights: a file whose sha256 is the card's.
            device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            torch_threads: to compute with.

        Raises:
            UserError: no code here runs the kind, the weights or the configuration are not of it, or the device is
                not there.
        """
        kind = kind_named(self.kind)
        return kind.load(self.info, self.configuration, weights, device=device, torch_threads=torch_threads)

    def registered(self, **more: Any) -> ModelRegistered:
        """The event that makes the model known.

        Args:
            more: further fields of the event: licence, description, metrics, base, dataset, time.
        """
        return ModelRegistered(
            name=self.name,
            model_version=self.version,
            model_kind=self.kind,
            weights_sha256=self.weights_sha256,
            weights_size=self.weights_size,
            categories=self.categories,
            configuration=self.configuration,
            **more,
        )

    def to_bytes(self) -> bytes:
        """JSON; the same card gives the same bytes."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes, reference: str) -> ModelCard:
        """The inverse of `to_bytes`.

        Args:
            data: of the object.
            reference: ``name@version``, which it has to be the card of.

        Raises:
            Refused: ``MODEL_UNKNOWN``; it is no card, or that of another model or version.
        """
        try:
            card = cls.model_validate_json(data)
        except ValidationError as exc:
            raise _damaged(reference, "; ".join(problems_of(exc))) from exc
        if card.reference != reference:
            raise _damaged(reference, f"what it says makes {card.reference}")
        return card


def card_key(reference: str) -> str:
    """The key of a model's card in the object store."""
    return f"models/{reference}.json"


def weights_key(sha256: str) -> str:
    """The key of weights in the object store."""
    return f"models/{sha256}"


def _damaged(reference: str, why: str) -> Refused:
    return Refused(
        ReasonCode.MODEL_UNKNOWN,
        f"The card of the model {reference} ({card_key(reference)} in the object store) is damaged: {why}. Register "
        "the model again: watson models add.",
    )
