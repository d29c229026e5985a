"""catalogue: reads ``segmented``, applies the job's rules, emits ``catalogued``. Touches neither store nor database.

A redelivery finds the mark and emits nothing; with the header ``redrive`` it emits the stored outcome again.
"""

from __future__ import annotations

from watson.agents.chain_role import chain_app
from watson.agents.role import RoleApp
from watson.settings import Settings
from watson.stages.catalogue import CatalogueStage

__all__ = ["build"]


def build(settings: Settings) -> RoleApp:
    """The catalogue worker's app."""
    return chain_app("catalogue", CatalogueStage(), settings)
