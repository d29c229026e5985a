"""Sends one event, once its topic is seen to be right."""

from __future__ import annotations

from watson.agents.publish import publish
from watson.agents.topics import verify_topics
from watson.events import Event
from watson.settings import Settings

__all__ = ["send"]


async def send(settings: Settings, event: Event) -> None:
    """Send one event, once its topic is seen to be as the settings say.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
        UserError: its topic is missing, or not that of the settings.
    """
    await verify_topics(settings, [settings.topic(event.topic)])
    await publish(settings, [event])
