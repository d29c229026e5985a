"""The colours of categories, the same on every page."""

from __future__ import annotations

__all__ = ["COLOURS", "PALETTE", "colour"]

Colour = tuple[int, int, int]
"""Red, green, blue; 0–255."""

PALETTE: tuple[Colour, ...] = (
    (0, 176, 255), (255, 64, 129), (255, 193, 7), (0, 200, 83), (170, 90, 255), (255, 109, 0),
    (29, 233, 182), (245, 60, 60), (83, 109, 254), (198, 255, 0), (224, 64, 251), (121, 186, 255),
)  # fmt: skip
"""Twelve hues, far apart from one category to the next, that stand out on photographs."""


def _mixed(one: Colour, other: int, part: float) -> Colour:
    red, green, blue = (round(value + (other - value) * part) for value in one)
    return red, green, blue


COLOURS: tuple[Colour, ...] = (
    *PALETTE,
    *(_mixed(hue, 255, 0.55) for hue in PALETTE),
    *(_mixed(hue, 0, 0.4) for hue in PALETTE),
)
"""The hues, then lighter ones, then darker ones. By the category's number in the model: the same for the whole of a
job, and different for the first categories of a model; a model of a thousand has about thirty of each colour."""


def colour(category: int) -> str:
    """The colour of the category with this number in its model, for example ``#00b0ff``."""
    red, green, blue = COLOURS[category % len(COLOURS)]
    return f"#{red:02x}{green:02x}{blue:02x}"
