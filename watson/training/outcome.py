"""The model that a training makes, as a registry sees it: asked before the work whether it could be registered at all.

Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watson.errors import UserError
from watson.model.cards import ModelCard
from watson.model.kinds import fpn
from watson.training.evaluation import CATEGORY_IOU

__all__ = ["KIND", "card_of", "check_registrable", "configuration_of"]

KIND = "fpn"

_SHOWN = 60
"""Characters of a name that is too long."""


def card_of(name: str, configuration: fpn.Configuration, weights_sha256: str, weights_size: int) -> ModelCard:
    """Return the model's card.

    Raises:
        ValidationError: a registry cannot hold such a model.
    """
    return ModelCard(
        name=name,
        kind=KIND,
        weights_sha256=weights_sha256,
        weights_size=weights_size,
        categories=configuration.categories,
        configuration=configuration.model_dump(mode="json"),
    )


def configuration_of(base: str, categories: tuple[str, ...], *, side: int, width: int, place: str) -> fpn.Configuration:
    """Return the model's configuration.

    Args:
        base: name of the frozen network.
        categories: by category id.
        side: root of the area looked at, pixels.
        width: channels within the head.
        place: where the categories come from; for messages.

    Raises:
        UserError: no model can have such a category: names it.
    """
    try:
        return fpn.Configuration(base=base, categories=categories, side=side, width=width)
    except ValidationError as exc:
        raise _not_registrable(exc, place, categories) from exc


def check_registrable(name: str, configuration: fpn.Configuration, place: str, described: Mapping[str, Any]) -> None:
    """See that the model can be registered once it is there: with these categories, and a measure of each.

    Args:
        name: of the model.
        configuration: of the model.
        place: where its categories come from; for messages.
        described: what else will be said of it: licence, description, base, dataset.

    Raises:
        UserError: it could not: names the category or the limit.
    """
    metrics = {f"{CATEGORY_IOU}{category}": 0.0 for category in configuration.categories}
    try:
        card_of(name, configuration, "0" * 64, 0).registered(metrics=metrics, **described)
    except ValidationError as exc:
        raise _not_registrable(exc, place, configuration.categories) from exc


def _not_registrable(exc: ValidationError, place: str, categories: tuple[str, ...]) -> UserError:
    first = exc.errors(include_url=False)[0]
    return UserError(f"no model of {place} could be registered: {_what(first, categories)}: {first['msg']}")


def _what(error: ErrorDetails, categories: tuple[str, ...]) -> str:
    match error["loc"]:
        case ("categories", int(number), *_):
            return f"the category {_short(categories[number])}"
        case ("metrics", str(key), *_):
            category = key.removeprefix(CATEGORY_IOU)
            return f"the category {_short(category)}, measured as {CATEGORY_IOU} and its name"
        case ("configuration", *_):
            return f"its {len(categories)} categories are too many or their names too long"
        case place:
            return ".".join(map(str, place))


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")
