"""A snapshot's record: what made it, and where its parts are. Small; its content is in the parts."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from watson.events import JobOptions, JobState, Source
from watson.events.event import Count, JobId, Name, Object, Sha256, Short
from watson.snapshots.content import FORMAT

__all__ = ["RECORDS", "SHORT", "JobTaken", "ModelTaken", "Part", "Snapshot", "id_of_record", "part_key", "record_key"]

RECORDS = "snapshots/"
"""Prefix of the records in the object store; the parts are under another, so that listing snapshots is cheap."""

SHORT = 12
"""Hexadecimal digits of a snapshot's id that are shown to people."""

_RECORD = re.compile(r"snapshots/([0-9a-f]{64})\.json")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Frozen):
    """A piece of the content: gzip of whole lines. The first one begins with the header."""

    object: Object
    sha256: Sha256 = Field(description="of its lines, unpacked")
    images: Count
    size: Count = Field(description="bytes of its lines, unpacked")


class JobTaken(_Frozen):
    """A job whose images are in the snapshot."""

    job: JobId
    state: JobState
    source: Source
    model: Short = Field(description="as the job names it")
    options: JobOptions = Field(description="the rules among them")
    images: Count = Field(description="that the snapshot has from it")
    superseded: Count = Field(description="that it has, but of which a newer job's masks were taken")
    quarantined: Count


class ModelTaken(_Frozen):
    """A model version whose masks are in the snapshot."""

    model: Short = Field(description="name@version")
    weights_sha256: Sha256
    images: Count


class Snapshot(_Frozen):
    """The record, as it is stored under ``snapshots/<id>.json``. Written last: where there is one, all parts are there.

    ``id`` is the sha256 of the content: of the lines of all parts, one after the other.
    """

    format: Literal["watson-snapshot/1"] = FORMAT
    id: Sha256
    dataset: Name
    created_at: AwareDatetime
    code_version: Short
    partial: bool = Field(description="whether a job was taken that was not done")
    jobs: tuple[JobTaken, ...] = Field(description="newest first")
    models: tuple[ModelTaken, ...] = Field(description="by name@version")
    images: Count
    masks: Count
    categories: dict[Annotated[str, Field(max_length=200)], Count] = Field(description="name → number of masks")
    size: Count = Field(description="bytes of the content, unpacked")
    parts: tuple[Part, ...]

    @property
    def short(self) -> str:
        """The id as people write it."""
        return self.id[:SHORT]


def record_key(snapshot: str) -> str:
    """Where the record of a full id is."""
    return f"{RECORDS}{snapshot}.json"


def part_key(snapshot: str, number: int) -> str:
    """Where a part of a full id is; ``number`` from 0."""
    return f"snapshot-parts/{snapshot}/{number:06}.jsonl.gz"


def id_of_record(key: str) -> str | None:
    """The full id of the snapshot whose record has this key; None where it is none's."""
    found = _RECORD.fullmatch(key)
    return found[1] if found else None
