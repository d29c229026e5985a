"""catalogue: apply the job's rules to what the model found. Reads nothing but the event and puts nothing."""

from __future__ import annotations

from watson import __version__
from watson.events import ImageCatalogued, ImageEvent, ImageSegmented, MaskRecord, MaskSummary, Rules, Stage, mask_id

__all__ = ["CatalogueStage", "lets_through"]


class CatalogueStage:
    """Makes `ImageCatalogued` of `ImageSegmented`. An image whose masks were all rejected is catalogued with none."""

    name: Stage = "catalogue"
    accepts: type[ImageEvent] = ImageSegmented

    async def open(self) -> None:
        """Nothing is needed."""

    async def close(self) -> None:
        """Nothing is held."""

    async def handle(self, event: ImageSegmented) -> ImageCatalogued:
        """Give ids to the masks that the rules let through."""
        pixels = event.normalised.width * event.normalised.height
        accepted = [mask for mask in event.masks if lets_through(event.options.rules, mask, pixels)]
        return ImageCatalogued(
            job=event.job,
            image_key=event.image_key,
            dataset=event.dataset,
            original=event.original,
            normalised=event.normalised,
            model=event.model,
            weights_sha256=event.weights_sha256,
            segmentation_id=event.segmentation_id,
            masks_object=event.masks_object,
            masks_sha256=event.masks_sha256,
            masks=tuple(
                MaskRecord(**mask.model_dump(), mask_id=mask_id(event.segmentation_id, mask.index)) for mask in accepted
            ),
            rejected=len(event.masks) - len(accepted),
            code_version=__version__,
            segmented_at=event.time,
        )

    async def repair(self, event: ImageSegmented, before: ImageEvent | None) -> ImageCatalogued:  # noqa: ARG002 - the protocol's
        """Say it again, with a new time."""
        return await self.handle(event)


def lets_through(rules: Rules, mask: MaskSummary, pixels: int) -> bool:
    """Return whether a mask enters the dataset. Limits are inclusive; an empty mask never enters.

    Args:
        rules: the job's. Categories are compared without regard to capitals.
        mask: what the model found.
        pixels: of the normalised picture.
    """
    return (
        mask.area > 0
        and mask.score >= rules.least_score
        and mask.area >= rules.least_area * pixels
        and (rules.categories is None or mask.category.casefold() in {name.casefold() for name in rules.categories})
    )
