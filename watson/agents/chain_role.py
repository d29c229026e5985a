"""Makes a Faust app of a stage of the chain: the same few lines for preprocess, segment and catalogue."""

from __future__ import annotations

from typing import Any

from watson.agents.attempts import Attempts
from watson.agents.chain import ChainLink
from watson.agents.deliveries import deliveries, input_topic
from watson.agents.loop import Loop
from watson.agents.ports import Outbox
from watson.agents.role import RoleApp
from watson.agents.topics import INPUTS
from watson.settings import Settings
from watson.stages.stage import ChainStage

__all__ = ["chain_app"]


def chain_app(role: str, stage: ChainStage[Any], settings: Settings) -> RoleApp:
    """The app of one stage: reads its topic, runs ``stage``, emits to the next topic or to the dead letters."""
    (source,) = INPUTS[role]
    app = RoleApp(role, settings)
    marks = app.mark_table("marks", source=source)
    outbox = Outbox(app, role, settings.topic_prefix, settings.partitions)
    attempts = Attempts.of(role, settings)
    app.ends_by_itself = attempts.busy
    link = ChainLink(stage, marks, outbox, attempts)
    loop = Loop(role, link.handle, link.undecodable, settings.window)

    @app.agent(input_topic(app, settings.topic_prefix, [source]), name=role)  # type: ignore[untyped-decorator]
    async def consume(stream: Any) -> None:
        await loop.consume(deliveries(stream, settings.topic_prefix))

    app.add_resource(stage.open, stage.close)
    return app
