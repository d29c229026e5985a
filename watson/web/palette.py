"""The colours of masks, the same on every page."""

from __future__ import annotations

__all__ = ["PALETTE", "colour"]

PALETTE = (
    (0, 176, 255), (255, 64, 129), (255, 193, 7), (0, 200, 83), (170, 90, 255), (255, 109, 0),
    (29, 233, 182), (245, 60, 60), (83, 109, 254), (198, 255, 0), (224, 64, 251), (121, 186, 255),
)  # fmt: skip
"""Twelve hues (red, green, blue; 0–255), far apart from one mask to the next, that stand out on photographs."""


def colour(index: int) -> str:
    """The colour of the mask with this index in its segmentation, for example ``#00b0ff``."""
    red, green, blue = PALETTE[index % len(PALETTE)]
    return f"#{red:02x}{green:02x}{blue:02x}"
