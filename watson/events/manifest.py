"""What the user says: a job wanted, a job cancelled, paused, resumed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from watson.events.event import Count, JobEvent, Name, Short
from watson.events.ids import name_id

__all__ = ["JobCancelled", "JobOptions", "JobPaused", "JobResumed", "ManifestSubmitted", "Rules", "Source"]

DEFAULT_MODEL = "efficientnet-lite0-cam"


class Source(BaseModel):
    """Where the pictures are.

    ``directory``: ``uri`` is a path or ``file://`` URI, walked recursively in sorted order.
    ``s3``: ``uri`` is ``s3://bucket/prefix``.
    ``list``: ``uri`` names a text, CSV or JSONL file (local or S3) of URIs; the format follows the file's suffix
    (``.csv``: a column ``uri``; ``.jsonl``/``.ndjson``: a member ``uri``; else one URI a line).
    ``open-images``: ``uri`` names OpenImages' image-id CSV (``ImageID,Subset,OriginalURL,…``); ``template`` makes a
    URI of each row, for example ``s3://open-images-dataset/{subset}/{id}.jpg``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["directory", "s3", "list", "open-images"]
    uri: Annotated[str, Field(min_length=1, max_length=4096)]
    template: Annotated[str, Field(max_length=4096)] | None = None


_MOST_CATEGORY_CHARACTERS = 40_000


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    if sum(map(len, names)) > _MOST_CATEGORY_CHARACTERS:
        raise ValueError(f"the names have more than {_MOST_CATEGORY_CHARACTERS} characters together")
    return names


class Rules(BaseModel):
    """Which masks enter the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_score: Annotated[float, Field(ge=0, le=1)] = 0.1
    least_area: Annotated[float, Field(ge=0, le=1, description="fraction of the picture")] = 0.005
    categories: Annotated[tuple[Short, ...], Field(max_length=2000), AfterValidator(_few)] | None = Field(
        default=None, description="names wanted; None means all. They travel with each image, so they are bounded"
    )


class JobOptions(BaseModel):
    """How the pictures are treated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    long_side: Annotated[int, Field(ge=32, le=8192, description="pixels; larger pictures are scaled down")] = 1024
    rules: Rules = Rules()
    weight: Annotated[float, Field(gt=0, le=100, description="share of the line against other jobs")] = 1.0


class ManifestSubmitted(JobEvent):
    """A job is wanted: segment these pictures with this model into this dataset."""

    topic: ClassVar[str] = "manifests"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "manifest-submitted"

    dataset: Name
    source: Source
    model: Annotated[str, Field(min_length=1, max_length=200)] = DEFAULT_MODEL
    options: JobOptions = JobOptions()


class JobCancelled(JobEvent):
    """No further picture of this job is to be discovered; those in flight still end.

    One whose ``time`` is not after that of the job's newest manifest is passed over: it was meant for an earlier one.
    """

    topic: ClassVar[str] = "manifests"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "job-cancelled"


class JobPaused(JobEvent):
    """No further picture of this job is to be discovered until it is resumed; those in flight still end."""

    topic: ClassVar[str] = "manifests"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "job-paused"

    resumes: Count = Field(description="of the job's newest `JobChanged`: one that comes late is passed over")

    @property
    def id(self) -> UUID:
        """One between two resumptions."""
        return name_id(self.kind, self.job, str(self.resumes))


class JobResumed(JobEvent):
    """A paused job is to go on from where it stands.

    With ``retry``, its pictures that were quarantined for a reason that accuses the deployment are tried again.
    """

    topic: ClassVar[str] = "manifests"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "job-resumed"

    resumes: Count = Field(description="of the job's newest `JobChanged`: one that comes twice resumes once")
    retry: bool = True

    @property
    def id(self) -> UUID:
        """One for each resumption."""
        return name_id(self.kind, self.job, str(self.resumes))
