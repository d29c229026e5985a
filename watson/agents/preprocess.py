"""preprocess: reads ``image-discovered``, writes normalised pictures, emits ``preprocessed``.

A redelivery finds the mark and emits nothing; with the header ``redrive`` it emits the stored outcome again.
"""

from __future__ import annotations

from watson import metrics
from watson.agents.chain_role import chain_app
from watson.agents.role import RoleApp
from watson.settings import Settings
from watson.sources import Reader
from watson.stages.preprocess import PreprocessStage
from watson.storage.connect_objects import object_store
from watson.storage.measured import measured

__all__ = ["build"]


def build(settings: Settings) -> RoleApp:
    """The preprocess worker's app."""
    objects, reader = measured(object_store(settings), metrics.OBJECT_STORE_SECONDS), Reader(settings)
    app = chain_app("preprocess", PreprocessStage(objects, reader, settings), settings)
    app.add_resource(objects.open, objects.close)
    app.add_resource(reader.open, reader.close)
    return app
