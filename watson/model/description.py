"""A model as a person describes it, in a TOML or JSON file beside its weights."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from watson.errors import UserError, problems_of
from watson.events.event import Name, Sha256, Short
from watson.events.model import Metrics

__all__ = ["ModelDescription", "read_description"]

_MOST_BYTES = 4_000_000


class ModelDescription(BaseModel):
    """What a model file says. docs/models.md describes the configuration of each kind.

    Attributes:
        name: jobs will name the model so.
        kind: which code runs it.
        weights: path of the weights, relative to the file; None where the configuration says where they come from.
        sha256: of the weights: another file is refused.
        configuration: what the kind wants to know; what is left out gets its default.
        licence: of the weights.
        description: a line for people.
        base: the model or backbone that it was trained from.
        dataset: the snapshot, or the hash of the data, that it was trained on.
        metrics: as its training measured them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: Short
    weights: Path | None = None
    sha256: Sha256 | None = None
    configuration: dict[str, JsonValue] = Field(default_factory=dict)
    licence: Short = ""
    description: str = Field(default="", max_length=4000)
    base: Short = ""
    dataset: Short = ""
    metrics: Metrics = Field(default_factory=dict)


def read_description(path: Path) -> ModelDescription:
    """Read a model file; the path of the weights comes back relative to the working directory, or absolute.

    Raises:
        UserError: there is no such file, it is neither TOML nor JSON, or a field is missing or wrong: names it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as exc:
        raise UserError(f"the model file {path} cannot be read: {exc.strerror}") from exc
    if len(data) > _MOST_BYTES:
        raise UserError(f"the model file {path} has more than {_MOST_BYTES} bytes: is it the weights themselves?")
    try:
        text = data.decode()
        said = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        description = ModelDescription.model_validate(said)
    except ValidationError as exc:
        raise UserError(f"the model file {path} is wrong:\n  " + "\n  ".join(problems_of(exc))) from exc
    except (ValueError, RecursionError) as exc:  # what json, tomllib and decode raise, the latter of nesting
        raise UserError(f"the model file {path} cannot be read: {exc}") from exc
    if description.weights is None:
        return description
    return description.model_copy(update={"weights": path.parent / description.weights})
