"""What the API answers and takes: the models that its description is made of. Closed, so that no field is forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from watson.errors import ReasonCode
from watson.events import (
    DEFAULT_MODEL,
    ImageCatalogued,
    JobOptions,
    JobState,
    ModelRegistered,
    Source,
    Stage,
)
from watson.events.event import Name

__all__ = [
    "DatasetList",
    "DeadLetterList",
    "DifferenceDocument",
    "DifferenceUnderWay",
    "ErrorDocument",
    "FieldErrors",
    "ImageDocument",
    "ImageList",
    "JobAsked",
    "JobDocument",
    "JobList",
    "JobSent",
    "JobTold",
    "ModelList",
    "NothingAsked",
    "ResumeAsked",
    "RetryAsked",
    "RetryDone",
    "SourceAsked",
    "SourceLooked",
    "WholeJob",
]

Cursor = Annotated[str | None, Field(description="goes into the next request's `after`; null at the end")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorDocument(_Answer):
    """Why there is no other answer."""

    error: Annotated[str, Field(description="says what is wrong, and what to do")]


class FieldErrors(ErrorDocument):
    """What is wrong with what was asked for."""

    fields: Annotated[dict[str, str], Field(description="what is wrong, by field")] = {}


class StageCounts(_Answer):
    """Distinct images of a job, by how far they are."""

    discovered: int
    preprocessed: int
    segmented: int
    catalogued: int
    quarantined: int


class JobLinks(_Answer):
    """Addresses of this job."""

    page: str
    self: str


class JobDocument(_Answer):
    """A job with its counts."""

    job: str
    dataset: str
    state: JobState
    message: str
    model: str
    source: Source
    options: JobOptions
    submitted_at: datetime
    changed_at: datetime
    listed: Annotated[int, Field(description="entries of the source's listing so far")]
    expected: Annotated[int, Field(description="distinct images known so far")]
    counts: StageCounts
    in_flight: int
    seconds: Annotated[float, Field(description="from the submission to the end, or to now")]
    rate: Annotated[float, Field(description="images a second that ended, over all of it")]
    links: JobLinks


class WholeJob(JobDocument):
    """A job with its categories and its reasons."""

    categories: Annotated[dict[str, int], Field(description="masks by category")]
    quarantined_by_reason: dict[str, int]
    quarantined_by_reason_complete: Annotated[bool, Field(description="false where there are more than were counted")]


class JobList(_Answer):
    """Jobs, newest first."""

    jobs: list[JobDocument]
    cursor: Cursor


class ImageLinks(_Answer):
    """Addresses of this image."""

    self: str
    page: str
    picture: str
    overlay: str
    thumbnail: str


class ImageDocument(ImageCatalogued):
    """An image with its masks and its provenance."""

    links: ImageLinks


class ImageList(_Answer):
    """Images, by their keys."""

    images: list[ImageDocument]
    cursor: Cursor


class FailedRecordDocument(_Answer):
    """The record that could not be processed."""

    topic: str
    partition: int
    offset: int | None
    key: str | None
    size: Annotated[int, Field(description="bytes of the value")]
    cut: bool
    excerpt: Annotated[str, Field(description="the beginning of the value")]


class DeadLetterDocument(_Answer):
    """A quarantined image or an event that could not be decoded."""

    id: UUID
    job: str | None
    image_key: UUID | None
    uri: str | None
    stage: Stage
    reason: ReasonCode
    message: str
    attempts: int
    resolved: bool
    time: datetime
    code_version: str
    record: FailedRecordDocument


class DeadLetterList(_Answer):
    """Dead letters, by id."""

    dead_letters: list[DeadLetterDocument]
    cursor: Cursor


class EvaluationDocument(_Answer):
    """How a model did on a dataset."""

    dataset: str
    images: int
    metrics: dict[str, float]
    time: datetime


class ModelDocument(ModelRegistered):
    """A version of a model."""

    reference: Annotated[str, Field(description="name@version")]
    evaluations: list[EvaluationDocument]


class ModelList(_Answer):
    """All versions of models."""

    models: list[ModelDocument]


class DatasetDocument(_Answer):
    """A dataset and its jobs, newest first."""

    dataset: str
    jobs: list[str]
    images: int


class DatasetList(_Answer):
    """All datasets."""

    datasets: list[DatasetDocument]


class SourceAsked(_Answer):
    """A source that somebody thinks of."""

    source: Annotated[str, Field(description="absolute path, or s3://bucket/prefix")]
    kind: Annotated[str | None, Field(description="directory, s3, list or open-images; null: told by the source")] = (
        None
    )
    template: str | None = None


class SourceLooked(_Answer):
    """What a source lists, as far as that was quickly counted."""

    source: Source
    images: int
    unreadable: Annotated[int, Field(description="of those, entries that cannot be read as they are listed")]
    complete: bool
    first: Annotated[list[str], Field(description="URIs of the first few")]


class JobAsked(SourceAsked):
    """A job that is wanted. As `watson submit`."""

    dataset: str
    job: Annotated[str | None, Field(description="null: made of what is asked, so that asking twice is once")] = None
    model: str = DEFAULT_MODEL
    options: JobOptions = JobOptions()


class JobSent(_Answer):
    """A job that was handed to the workers. It is among the jobs a moment later."""

    job: Name
    dataset: Name
    model: str
    links: JobLinks


class NothingAsked(_Answer):
    """Nothing: an empty object, or no body."""


class ResumeAsked(_Answer):
    """How a job is resumed."""

    retry: Annotated[bool, Field(description="try again what failed through no fault of the picture")] = True


class JobTold(_Answer):
    """What became of it."""

    job: Name
    sent: Annotated[bool, Field(description="false where there was nothing to do")]
    message: str


class RetryAsked(_Answer):
    """Which dead letters are sent round again: the open ones that fit all that is not null."""

    reason: ReasonCode | None = None
    stage: Stage | None = None
    image_key: UUID | None = None
    id: Annotated[UUID | None, Field(description="of one dead letter")] = None


class RetryDone(_Answer):
    """What was sent by now."""

    sent: int
    running: Annotated[bool, Field(description="whether the others are being sent; the same request tells how far")]
    lost: Annotated[list[str], Field(description="a line for each that could not be sent")]


class ComparedJob(_Answer):
    """One of two jobs."""

    job: str
    dataset: str
    model: str
    state: JobState


class CategoryDifference(_Answer):
    """What became of the masks of one category."""

    before: int
    after: int
    unchanged: int
    changed_shape: int
    became_another: int
    was_another: int
    gained: int
    lost: int
    quality: Annotated[float, Field(description="panoptic quality, 0 to 1")]


class Renamed(_Answer):
    """Masks of one category that have another one in the second job."""

    before: str
    after: str
    masks: int


class MaskPair(_Answer):
    """A mask of each job that are the same thing, or one without a partner."""

    kind: str
    before: UUID | None
    after: UUID | None
    iou: float


class ComparedImage(_Answer):
    """A picture on which they disagree."""

    uri: str
    image_key: UUID
    disagreement: float
    masks: list[MaskPair]


class DifferenceDocument(_Answer):
    """What two jobs found differently. As `watson diff --json`."""

    format: Literal["watson-diff/1"]
    before: ComparedJob
    after: ComparedJob
    thresholds: dict[str, float]
    images: dict[str, int]
    masks: dict[str, int]
    disagreement: float
    categories: dict[str, CategoryDifference]
    renamed: list[Renamed]
    largest: list[ComparedImage]
    complete: Annotated[bool, Field(description="false where only the first pictures were compared")]


class DifferenceUnderWay(_Answer):
    """It is being compared: ask again."""

    compared: int
    of: int
