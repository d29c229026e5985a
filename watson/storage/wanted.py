"""Which images of a job are looked for, and in which order: the same question for every catalogue."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from watson.events import ImageCatalogued, MaskRecord

__all__ = ["MOST_CATEGORIES", "Order", "Wanted", "area_of"]

MOST_CATEGORIES = 20
"""Of one question: each is a walk of its own through the catalogue."""


class Order(StrEnum):
    """In which order images are listed; each is total, so that pages neither lose nor repeat one."""

    KEY = "key"
    """By image key, which is as good as at random."""

    UNCERTAINTY = "uncertainty"
    """The most uncertain first (`watson.storage.uncertainty`); of equals, the greater image key."""


class Wanted(BaseModel):
    """An image is wanted where at least one of its masks is, or with ``nothing`` where it has none.

    Bounds are inclusive. A mask is wanted where all of them hold for it.

    Raises:
        ValidationError: a bound is not in 0–1, a lower one is above its upper one, too many categories, or
            ``nothing`` together with what masks should be like.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    categories: tuple[str, ...] = Field(default=(), max_length=MOST_CATEGORIES, description="any of them; none: all")
    least_score: float = Field(default=0.0, ge=0, le=1)
    most_score: float = Field(default=1.0, ge=0, le=1)
    least_area: float = Field(default=0.0, ge=0, le=1, description="fraction of the picture")
    most_area: float = Field(default=1.0, ge=0, le=1, description="fraction of the picture")
    nothing: bool = Field(default=False, description="images in which nothing was found")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for name in ("score", "area"):
            least, most = getattr(self, f"least_{name}"), getattr(self, f"most_{name}")
            if least > most:
                raise ValueError(f"the least {name} is {least:g}, the most is {most:g}: no mask has both")
        if self.nothing and self.about_masks:
            raise ValueError("images with nothing found have no masks that could have a category, a score or an area")
        return self

    @property
    def bounded(self) -> bool:
        """Whether scores or areas matter."""
        return (self.least_score, self.most_score, self.least_area, self.most_area) != (0, 1, 0, 1)

    @property
    def about_masks(self) -> bool:
        """Whether an image needs a mask of some kind to be wanted."""
        return bool(self.categories) or self.bounded

    @property
    def anything(self) -> bool:
        """Whether every image is wanted."""
        return not self.nothing and not self.about_masks

    def admits(self, event: ImageCatalogued) -> bool:
        """Whether the image is wanted."""
        if self.nothing:
            return not event.masks
        return self.anything or any(self.admits_mask(event, mask) for mask in event.masks)

    def admits_mask(self, event: ImageCatalogued, mask: MaskRecord) -> bool:
        """Whether a mask of the image is of those that make it wanted; every mask is where nothing is asked of them."""
        return (
            (not self.categories or mask.category in self.categories)
            and self.least_score <= mask.score <= self.most_score
            and self.least_area <= area_of(event, mask) <= self.most_area
        )


def area_of(event: ImageCatalogued, mask: MaskRecord) -> float:
    """The part of the picture that a mask covers, 0–1."""
    return mask.area / (event.normalised.width * event.normalised.height)
