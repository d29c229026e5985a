"""segment: reads ``preprocessed``, writes masks, emits ``segmented``. The role that a GPU is for.

Pictures of several events meet in one batch of the model; each event is emitted, marked and acknowledged on its own.
A redelivery finds the mark and emits nothing; with the header ``redrive`` it emits the stored outcome again.
"""

from __future__ import annotations

from watson import metrics
from watson.agents.chain_role import chain_app
from watson.agents.role import RoleApp
from watson.settings import Settings
from watson.stages.segment import SegmentStage
from watson.storage.connect_objects import object_store
from watson.storage.measured import measured

__all__ = ["build"]


def build(settings: Settings) -> RoleApp:
    """The segment worker's app."""
    objects = measured(object_store(settings), metrics.OBJECT_STORE_SECONDS)
    return chain_app("segment", SegmentStage(objects, settings), settings)
