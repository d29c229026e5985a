"""A registered model's configuration: read from JSON values with every mistake named, and which channel is what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from watson.errors import UserError
from watson.model.semantic import SemanticSettings

__all__ = [
    "Categories",
    "CategoryName",
    "Chosen",
    "Fraction",
    "Strict",
    "channels",
    "completed",
    "named",
    "parsed",
    "shared_names",
]

_MOST_CATEGORIES = 10_000
_DEFAULT = SemanticSettings()

Fraction = Annotated[float, Field(ge=0, le=1)]
CategoryName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Categories = Annotated[
    tuple[CategoryName | None, ...],
    Field(min_length=1, max_length=_MOST_CATEGORIES),
]
"""Names by channel, without the background; None (null) for a channel that is no thing and makes no instances."""


class Strict(BaseModel):
    """A part of a configuration: no unknown key, no string where a number belongs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Chosen(Strict):
    """Which components of a semantic map become instances; see `SemanticSettings`."""

    least_area: Fraction = _DEFAULT.least_area
    most: int = Field(_DEFAULT.most, ge=1, le=1000)

    @property
    def semantic(self) -> SemanticSettings:
        """As `instances` takes it."""
        return SemanticSettings(self.least_area, self.most)


Model = TypeVar("Model", bound=BaseModel)


def parsed(model: type[Model], given: Mapping[str, JsonValue]) -> Model:
    """Return a configuration, read as JSON.

    Raises:
        UserError: names each key that is wrong, missing or unknown.
    """
    try:
        return model.model_validate_json(json.dumps(dict(given)))
    except ValidationError as exc:
        lines = (_said(model, error) for error in exc.errors(include_url=False)[:10])
        raise UserError("The model's configuration is wrong:\n  " + "\n  ".join(lines)) from exc


def completed(configuration: BaseModel) -> dict[str, JsonValue]:
    """Return the configuration as JSON values, with every default written out."""
    return dict(configuration.model_dump(mode="json"))


def channels(categories: Sequence[str | None], background: int | None) -> tuple[str | None, ...]:
    """Return the name of each of the network's channels: the categories in order, None for the background.

    Raises:
        UserError: the background would lie beyond the channels, no channel has a name, or two have one (capitals do
            not tell names apart).
    """
    if background is not None and background > len(categories):
        raise UserError(
            f"The background is channel {background}, but with {len(categories)} categories the last channel is "
            f"{len(categories)}. Give the number of its channel, from 0, or null where there is none."
        )
    if shared := shared_names(named(categories)):
        raise UserError(f"Two categories have one name: {', '.join(map(repr, shared[:5]))}. Give each its own.")
    if not named(categories):
        raise UserError("No category has a name. Give at least one.")
    if background is None:
        return tuple(categories)
    return (*categories[:background], None, *categories[background:])


def shared_names(names: Iterable[str]) -> list[str]:
    """Return the names, in small letters, that several of these share: capitals do not tell categories apart."""
    return [name for name, count in Counter(map(str.casefold, names)).items() if count > 1]


def named(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return the names of the channels that have one: the model's categories, by category id."""
    return tuple(name for name in names if name is not None)


def _said(model: type[BaseModel], error: Any) -> str:  # pydantic's ErrorDetails
    place = ".".join(str(part)[:100] for part in error["loc"])
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return f"{place}: there is no such key here. Known: {', '.join(model.model_fields)}"
    if error["type"] == "extra_forbidden":
        return f"{place}: there is no such key here"
    return f"{place}: {error['msg']}" if place else str(error["msg"])
