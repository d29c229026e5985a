"""What the API answers and takes: the models that its description is made of. Closed, so that no field is forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
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
    "FlowDocument",
    "HistoryDocument",
    "ImageDocument",
    "ImageList",
    "JobAsked",
    "JobDocument",
    "JobList",
    "JobProgress",
    "JobSent",
    "JobTold",
    "JobsProgress",
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


class Throughput(_Answer):
    """Images that ended, over the last minutes; the newest last, null where it is not known."""

    bar_seconds: float
    bars: list[float | None]


class PaceDocument(_Answer):
    """A job's present pace."""

    images_per_second: float | None
    stages_per_second: dict[str, float | None]
    seconds_left: Annotated[float | None, Field(description="null while nobody can know")]
    throughput: Throughput


class StageTiming(_Answer):
    """When the images of a job passed a stage, and how long that took."""

    stage: str
    began: datetime | None
    last: datetime | None
    images: int
    median_seconds: float | None
    slow_seconds: float | None


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
    now: PaceDocument
    links: JobLinks


class WholeJob(JobDocument):
    """A job with its categories and its reasons."""

    categories: Annotated[dict[str, int], Field(description="masks by category")]
    quarantined_by_reason: dict[str, int]
    quarantined_by_reason_complete: Annotated[bool, Field(description="false where there are more than were counted")]
    timings: Annotated[
        list[StageTiming] | None, Field(description="seconds of the stages; null where they are not known")
    ]
    timings_missing: Annotated[str | None, Field(description="why they are not")]


class JobList(_Answer):
    """Jobs, newest first."""

    jobs: list[JobDocument]
    cursor: Cursor


class WorkerDocument(_Answer):
    """A worker of a stage."""

    name: str
    host: str
    partitions: int


class TopicLag(_Answer):
    """What waits in a topic, in all and by partition."""

    topic: str
    lag: int
    partitions: list[int]


class StageDocument(_Answer):
    """A stage of the line."""

    role: str
    state: Literal["busy", "idle", "rebalancing", "stuck", "abandoned", "absent"]
    label: str
    note: str
    workers: list[WorkerDocument]
    lag: int
    events_per_second: float | None
    topics: list[TopicLag]


class FlowDocument(_Answer):
    """The line as a whole."""

    trouble: Annotated[str | None, Field(description="why there are no stages; null where there are")]
    stages: list[StageDocument]
    workers: int
    running_jobs: int
    images_per_second: float | None
    seconds_left: float | None
    throughput: Throughput


class JobsProgress(JobList):
    """Jobs, and the line."""

    flow: FlowDocument


class JobProgress(_Answer):
    """A job, and the line."""

    job: WholeJob
    flow: FlowDocument


class HistoryEntry(_Answer):
    """A record of the log that speaks of the image."""

    topic: str
    partition: int
    offset: int
    time: datetime
    written: datetime
    what: str
    id: UUID | None
    source: str | None
    redrive: str | None
    problem: str | None
    event: Annotated[dict[str, Any] | None, Field(description="null where there is none, or it is very large")]


class HistorySearched(_Answer):
    """Which offsets were read, of those that could hold events of the image."""

    topic: str
    partition: int
    complete: bool
    read: tuple[int, int]
    of: tuple[int, int]


class HistoryDocument(_Answer):
    """What the log holds of an image."""

    job: str
    image_key: UUID
    partition: int
    complete: bool
    more: int
    entries: list[HistoryEntry]
    searched: list[HistorySearched]


class ImageLinks(_Answer):
    """Addresses of this image."""

    self: str
    page: str
    picture: str
    overlay: str
    masks: str
    thumbnail: str


class ImageDocument(ImageCatalogued):
    """An image with its masks and its provenance."""

    links: ImageLinks


class ImageList(_Answer):
    """Images, in the order that was asked for."""

    images: list[ImageDocument]
    cursor: Cursor
    searched: Annotated[
        int | None,
        Field(description="at least so many were looked at, where that was enough to stop; ask on with the cursor"),
    ]


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
