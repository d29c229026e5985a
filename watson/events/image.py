"""The chain: one event a stage for each image. References, never pixels."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from watson.events.event import Box, Count, ImageEvent, Moment, Name, Object, Sha256, Short
from watson.events.ids import event_id
from watson.events.manifest import JobOptions

__all__ = [
    "ImageCatalogued",
    "ImageDiscovered",
    "ImagePreprocessed",
    "ImageSegmented",
    "MaskRecord",
    "MaskSummary",
    "Normalised",
    "Original",
]

Stage = Literal["discover", "preprocess", "segment", "catalogue", "project"]


class Original(BaseModel):
    """The picture as it was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: Annotated[str, Field(min_length=1, max_length=8192)]
    size: Count | None = Field(default=None, description="bytes, as the listing said; None where it did not")
    etag: Object | None = Field(default=None, description="as the listing said; for a file, its time of change")
    sha256: Sha256 | None = Field(default=None, description="of the bytes; known from preprocess on")
    width: Count | None = Field(default=None, ge=1, description="pixels, after EXIF orientation")
    height: Count | None = Field(default=None, ge=1, description="pixels, after EXIF orientation")
    format: Short | None = Field(default=None, description="Pillow's name of it: JPEG, PNG, WEBP, …")


class Normalised(BaseModel):
    """The picture as the model sees it: RGB, upright, long side bounded; in the object store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Object = Field(description="key in the object store: preprocessed/<version>/<sha256 of original>.jpg|png")
    sha256: Sha256 = Field(description="of the object's bytes")
    width: Count = Field(ge=1)
    height: Count = Field(ge=1)
    version: Short = Field(description="preprocessing version with its settings, for example 1-1024")


class MaskSummary(BaseModel):
    """One instance mask, without the mask: what rules and pages need."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: Count = Field(description="place in the segmentation")
    category_id: Count
    category: Short
    score: float = Field(ge=0, le=1)
    area: Count = Field(description="pixels of the normalised picture")
    box: Box


class MaskRecord(MaskSummary):
    """A mask that entered the dataset."""

    mask_id: UUID


class ImageDiscovered(ImageEvent):
    """The source lists this picture."""

    topic: ClassVar[str] = "image-discovered"
    version: ClassVar[int] = 2
    kind: ClassVar[str] = "image-discovered"

    dataset: Name
    original: Original
    within: Annotated[str, Field(min_length=1, max_length=8192)] | None = Field(
        default=None, description="URI of the source's directory, which a file must not lead out of by a link"
    )
    index: Count = Field(description="place in the source's listing, from 0")
    model: Short
    options: JobOptions = JobOptions()

    @property
    def id(self) -> UUID:
        """One for each image of a job."""
        return event_id(self.job, self.image_key, "discovered")


class ImagePreprocessed(ImageEvent):
    """The picture was decoded and normalised."""

    topic: ClassVar[str] = "preprocessed"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "image-preprocessed"

    dataset: Name
    original: Original
    normalised: Normalised
    model: Short
    options: JobOptions = JobOptions()

    @property
    def id(self) -> UUID:
        """Depends on the preprocessing version."""
        return event_id(self.job, self.image_key, "preprocessed", self.normalised.version)


class ImageSegmented(ImageEvent):
    """The model looked at the picture; its masks are in the object store."""

    topic: ClassVar[str] = "segmented"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "image-segmented"

    dataset: Name
    original: Original
    normalised: Normalised
    model: Short = Field(description="name@version, resolved")
    weights_sha256: Sha256
    segmentation_id: UUID
    masks_object: Object = Field(description="key in the object store: masks/<segmentation id>.json.gz")
    masks_sha256: Sha256 = Field(description="of the object's bytes")
    masks: tuple[MaskSummary, ...]
    options: JobOptions = JobOptions()

    @property
    def id(self) -> UUID:
        """Depends on the preprocessing and on the model's version."""
        return event_id(self.job, self.image_key, "segmented", str(self.segmentation_id))


class ImageCatalogued(ImageEvent):
    """The picture is in the dataset, with the masks that the job's rules let through."""

    topic: ClassVar[str] = "catalogued"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "image-catalogued"

    dataset: Name
    original: Original
    normalised: Normalised
    model: Short
    weights_sha256: Sha256
    segmentation_id: UUID
    masks_object: Object
    masks_sha256: Sha256
    masks: tuple[MaskRecord, ...]
    rejected: Count = Field(description="masks that the rules kept out")
    code_version: Short
    segmented_at: Moment

    @property
    def id(self) -> UUID:
        """Depends on the segmentation."""
        return event_id(self.job, self.image_key, "catalogued", str(self.segmentation_id))
