"""Makes a model known: its weights and card to the object store, then the event to the log."""

from __future__ import annotations

from watson.agents.publish import publish
from watson.agents.topics import verify_topics
from watson.events import ModelRegistered
from watson.model.preparing import ReadyModel
from watson.model.shelf import ModelShelf
from watson.settings import Settings
from watson.storage.objects import ObjectStore

__all__ = ["register_model"]


async def register_model(ready: ReadyModel, objects: ObjectStore, settings: Settings) -> ModelRegistered:
    """Keep and announce a model, in this order: a job that can name it can run it. Twice does no harm.

    Args:
        ready: as `watson.model.preparing.prepare` returns it.
        objects: open; the store that workers use.
        settings: where the broker is.

    Raises:
        BrokerUnavailable: no broker answers; nothing was announced.
        Retriable: the object store is unavailable.
        UserError: the topics are missing, or the weights changed.
    """
    await verify_topics(settings, [settings.topic(ModelRegistered.topic)])  # before hundreds of megabytes move
    await ModelShelf(objects, settings).put(ready.card, ready.weights)
    await publish(settings, [ready.event])
    return ready.event
