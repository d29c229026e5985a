"""What a model's name means: the log's topic ``models`` says it; the object store has what it takes to run it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from watson.agents.attempts import Attempts, Failure
from watson.agents.replay import replay_events
from watson.errors import ReasonCode, Refused
from watson.events import Event, ModelRegistered, ModelWithdrawn
from watson.model import registry
from watson.model.segmenter import ModelInfo
from watson.model.shelf import ModelShelf
from watson.settings import Settings
from watson.storage.connect_objects import opened_object_store

__all__ = ["ModelResolver", "Resolved", "built_in_models", "choose", "registered_models", "standing"]

_NAMED = 20


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model that a job will use.

    Attributes:
        reference: ``name@version``.
        announce: of a model that Watson brings, which nobody else registers: what is to be said of it.
    """

    reference: str
    announce: ModelRegistered | None = None


class ModelResolver:
    """Resolves the names that manifests say, for the discover role."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._attempts = Attempts.of("discover", settings)

    async def __call__(self, reference: str) -> Resolved:
        """Resolve ``name`` to its newest version, or make sure of ``name@version``.

        Raises:
            Refused: ``MODEL_UNKNOWN``: nobody registered it, or workers could not run it; or what the tries ended with.
        """
        if registry.is_built_in(reference):
            return await _built_in(reference)
        result = await self._attempts.run(lambda: self._registered(reference))
        if isinstance(result, Failure):
            raise Refused(result.code, result.message)
        return result

    async def _registered(self, reference: str) -> Resolved:
        model = choose(reference, await registered_models(self._settings))
        async with opened_object_store(self._settings) as objects:
            shelf = ModelShelf(objects, self._settings)
            await shelf.verify(await shelf.card(model.key))
        return Resolved(model.key)


async def registered_models(settings: Settings) -> dict[str, ModelRegistered]:
    """All models in the log that were not withdrawn, by ``name@version``.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log cannot be read.
    """
    return standing([event async for event in replay_events(settings, [ModelRegistered.topic])])


def standing(events: Iterable[Event]) -> dict[str, ModelRegistered]:
    """The models that were not withdrawn after they were registered, by ``name@version``; as the catalogue has it.

    Args:
        events: of the topic ``models``, in any order.
    """
    newest: dict[str, ModelRegistered | ModelWithdrawn] = {}
    for event in events:
        if isinstance(event, ModelRegistered | ModelWithdrawn):
            newest[event.key] = max(event, newest.get(event.key, event), key=_order)
    return {key: event for key, event in newest.items() if isinstance(event, ModelRegistered)}


def _order(event: ModelRegistered | ModelWithdrawn) -> tuple[datetime, bool]:
    return event.time, isinstance(event, ModelRegistered)


def choose(reference: str, models: Mapping[str, ModelRegistered]) -> ModelRegistered:
    """The model that a ``name`` (its newest version) or ``name@version`` means.

    Raises:
        Refused: ``MODEL_UNKNOWN``: names those that there are.
    """
    if reference in models:
        return models[reference]
    versions = [model for model in models.values() if model.name == reference]
    if versions:
        return max(versions, key=lambda model: (model.time, model.key))
    name = reference.partition("@")[0]
    others = sorted(model.key for model in models.values() if model.name == name)
    known = others or registry.public_names() + sorted({model.name for model in models.values()})
    named = ", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
    raise Refused(
        ReasonCode.MODEL_UNKNOWN, f"There is no model {reference!r}. Known: {named}. `watson models add` registers one."
    )


def built_in_models() -> list[ModelRegistered]:
    """What is said of the models that Watson brings, by name; not of stand-ins for tests.

    Raises:
        UserError: the weights of one are missing or damaged.
    """
    return [_said_of(info) for info in registry.known_models() if registry.is_public(info.name)]


async def _built_in(reference: str) -> Resolved:
    event = _said_of(await asyncio.to_thread(registry.resolve, reference))  # reads the weights' hash the first time
    return Resolved(event.key, event)


def _said_of(info: ModelInfo) -> ModelRegistered:
    return ModelRegistered(
        name=info.name,
        model_version=info.version,
        model_kind=info.kind,
        weights_sha256=info.weights_sha256,
        categories=info.categories,
        licence=info.licence,
        description=info.description,
    )
