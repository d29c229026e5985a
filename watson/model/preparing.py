"""From a model's description to what can be registered: checked, completed, and tried once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from watson.errors import UserError, problems_of
from watson.events import ModelRegistered
from watson.model import registry
from watson.model.cards import ModelCard
from watson.model.description import ModelDescription
from watson.model.kinds import kind_named
from watson.model.weights import sha256_of, verified

__all__ = ["ReadyModel", "prepare"]

_TRIAL_SIDES = (96, 128)


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model that can be registered.

    Attributes:
        card: its identity.
        weights: a local file with the card's sha256.
        event: what will be said of it.
    """

    card: ModelCard
    weights: Path
    event: ModelRegistered


def prepare(description: ModelDescription, folder: Path) -> ReadyModel:
    """Check and complete a description, and let the model look at one picture, on the CPU. Takes seconds; blocks.

    Args:
        description: as `read_description` returns it.
        folder: an empty directory for files that are made on the way; it has to live as long as the result.

    Raises:
        UserError: whatever is wrong with the name, the kind, the weights or the configuration.
    """
    registry.check_free(description.name)
    kind = kind_named(description.kind)
    if description.weights is not None:
        if not description.weights.is_file():
            raise UserError(f"there are no weights at {description.weights}")
        if description.sha256 is not None:
            verified(description.weights, description.sha256, remedy="Is it the file that you meant?")
    elif description.sha256 is not None:
        raise UserError("a sha256 is given, but no weights that it could be of")
    prepared = kind.prepare(description.configuration, description.weights, folder)
    try:
        card = ModelCard(
            name=description.name,
            kind=description.kind,
            weights_sha256=sha256_of(prepared.weights),
            weights_size=prepared.weights.stat().st_size,
            categories=prepared.categories,
            configuration=dict(prepared.configuration),
        )
        event = card.registered(
            licence=description.licence or prepared.licence,
            description=description.description or prepared.description,
            metrics=description.metrics,
            base=description.base,
            dataset=description.dataset,
        )
    except ValidationError as exc:
        raise UserError(f"the model cannot be registered: {'; '.join(problems_of(exc))}") from exc
    _try(card, prepared.weights)
    return ReadyModel(card, prepared.weights, event)


def _try(card: ModelCard, weights: Path) -> None:
    """A grey picture, as no mask is the right answer; what counts is that there is an answer."""
    segmenter = card.load(weights, device="cpu", torch_threads=1)
    picture = np.full((*_TRIAL_SIDES, 3), 128, np.uint8)
    try:
        (found,) = segmenter.segment([picture])
    except Exception as exc:
        raise UserError(f"the model {card.name} fails on a grey picture: {type(exc).__name__}: {exc}") from exc
    for instance in found.instances:
        if instance.mask.shape != _TRIAL_SIDES or not 0 <= instance.category_id < len(card.categories):
            raise UserError(
                f"the model {card.name} makes masks of shape {instance.mask.shape} in category {instance.category_id} "
                f"of a picture of {_TRIAL_SIDES} pixels, with {len(card.categories)} categories: is its configuration "
                "right?"
            )
