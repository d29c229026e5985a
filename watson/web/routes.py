"""The one table of the API: what is asked where, with what, and what is answered. docs say it in OpenAPI's words.

Tests compare it with the handlers that are mounted, and each answer that they get with the model that it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel

from watson.errors import ReasonCode
from watson.storage.wanted import Order
from watson.web import answers
from watson.web.queries import MOST_ITEMS

__all__ = ["ROUTES", "Parameter", "Route"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something in the query or the path. ``schema`` is JSON Schema."""

    name: str
    description: str
    schema: dict[str, object]
    place: Literal["query", "path"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked.

    Attributes:
        path: parts in braces are `PATH_PARAMETERS`.
        operation: its name.
        summary: one line.
        answers: by status, what is answered when all is well.
        parameters: of the query.
        body: of a POST.
        errors: statuses of answers that are none; see `ErrorDocument`.
        changes: whether it needs the right to change something.
        stream: whether the answer is of server-sent events, of which each ``progress`` holds the model's document.
    """

    method: Literal["GET", "POST"]
    path: str
    operation: str
    summary: str
    answers: dict[int, type[BaseModel]]
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    changes: bool = field(default=False)
    stream: bool = field(default=False)

    def model_of(self, status: int) -> type[BaseModel] | None:
        """The model of an answer with this status; None where the table does not know it."""
        if status == HTTPStatus.UNPROCESSABLE_ENTITY and status in self.errors:
            return answers.FieldErrors
        return self.answers.get(status) or (answers.ErrorDocument if status in self.errors else None)


_TEXT: dict[str, object] = {"type": "string"}
_UUID: dict[str, object] = {"type": "string", "format": "uuid"}

PATH_PARAMETERS = {
    "job": Parameter("job", "Id of a job.", _TEXT, "path", required=True),
    "image_key": Parameter("image_key", "Key of an image.", _UUID, "path", required=True),
}

_PAGED = (
    Parameter("after", "The `cursor` of the page before.", _TEXT),
    Parameter("limit", "Most items.", {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": 100}),
)
_SHARE: dict[str, object] = {"type": "number", "minimum": 0, "maximum": 1}
_FOUND_BY = (
    Parameter("category", "Only images with a mask of one of these categories.", {"type": "array", "items": _TEXT}),
    Parameter("least_score", "Only images with a mask of at least this score.", _SHARE),
    Parameter("most_score", "Only images with a mask of at most this score.", _SHARE),
    Parameter("least_area", "Only images with a mask of at least this fraction of the picture.", _SHARE),
    Parameter("most_area", "Only images with a mask of at most this fraction of the picture.", _SHARE),
    Parameter("nothing", "Only images in which nothing was found.", {"type": "string", "enum": ["1"]}),
    Parameter("order", "By key, or the most uncertain first.", {"type": "string", "enum": list(Order)}),
)
_OF_REASON = Parameter("reason", "Only this reason.", {"type": "string", "enum": [code.value for code in ReasonCode]})

_AWAY = (503,)
_NO_JOB = (404, 503)
_LIST = (400, 503)
_LIST_OF_JOB = (400, 404, 503)
_CHANGING = (400, 401, 403, 413, 415, 429, 503)
_CHANGING_A_JOB = (400, 401, 403, 404, 413, 415, 429, 503)


def _get(path: str, operation: str, summary: str, answer: type[BaseModel], *parameters: Parameter,
         errors: tuple[int, ...] = _AWAY) -> Route:  # fmt: skip
    return Route("GET", path, operation, summary, {200: answer}, parameters, errors=errors)


ROUTES: tuple[Route, ...] = (
    _get("/api/v1/jobs", "listJobs", "All jobs, newest first.", answers.JobList, *_PAGED, errors=_LIST),
    Route(
        "POST", "/api/v1/jobs", "submitJob", "Hand a job to the workers.", {202: answers.JobSent},
        body=answers.JobAsked, errors=(*_CHANGING, 422), changes=True,
    ),
    _get("/api/v1/jobs/{job}", "getJob", "A job, with its categories and reasons.", answers.WholeJob, errors=_NO_JOB),
    *(
        Route(
            "POST", f"/api/v1/jobs/{{job}}/{name}", f"{name}Job", summary, {200: answers.JobTold},
            body=body, errors=_CHANGING_A_JOB, changes=True,
        )
        for name, summary, body in (
            ("pause", "Discover no further pictures of a job until it is resumed.", answers.NothingAsked),
            ("resume", "Let a paused job go on.", answers.ResumeAsked),
            ("cancel", "Discover no further pictures of a job, for good.", answers.NothingAsked),
        )
    ),
    _get(
        "/api/v1/jobs/{job}/images", "listImages", "Catalogued images of a job.", answers.ImageList,
        *_FOUND_BY, *_PAGED, errors=_LIST_OF_JOB,
    ),
    _get(
        "/api/v1/jobs/{job}/images/{image_key}", "getImage", "An image with masks and provenance.",
        answers.ImageDocument, errors=_LIST_OF_JOB,
    ),
    _get(
        "/api/v1/jobs/{job}/dead-letters", "listDeadLetters", "What was quarantined of a job.",
        answers.DeadLetterList, _OF_REASON, *_PAGED, errors=_LIST_OF_JOB,
    ),
    Route(
        "POST", "/api/v1/jobs/{job}/dead-letters/retry", "retryDeadLetters", "Send quarantined images round again.",
        {200: answers.RetryDone}, body=answers.RetryAsked, errors=_CHANGING_A_JOB, changes=True,
    ),
    _get(
        "/api/v1/dead-letters", "listUndecodable", "Events that could not be decoded, and belong to no job.",
        answers.DeadLetterList, _OF_REASON, *_PAGED, errors=_LIST,
    ),
    Route(
        "POST", "/api/v1/dead-letters/retry", "retryUndecodable", "Send events of no job round again.",
        {200: answers.RetryDone}, body=answers.RetryAsked, errors=_CHANGING, changes=True,
    ),
    _get(
        "/api/v1/jobs/{job}/images/{image_key}/history", "getHistory", "What the log holds of an image.",
        answers.HistoryDocument, errors=_LIST_OF_JOB,
    ),
    _get("/api/v1/flow", "getFlow", "The line: workers, lag and pace.", answers.FlowDocument),
    Route(
        "GET", "/api/v1/stream", "watchJobs", "The jobs and the line, each time that they changed.",
        {200: answers.JobsProgress}, _PAGED, errors=_LIST, stream=True,
    ),
    Route(
        "GET", "/api/v1/jobs/{job}/stream", "watchJob", "A job and the line, each time that they changed.",
        {200: answers.JobProgress}, errors=_NO_JOB, stream=True,
    ),
    _get("/api/v1/models", "listModels", "All versions of models, with how they did.", answers.ModelList),
    _get("/api/v1/datasets", "listDatasets", "All datasets and their jobs.", answers.DatasetList),
    Route(
        "GET", "/api/v1/diff", "diffJobs", "What two jobs over the same pictures found differently.",
        {200: answers.DifferenceDocument, 202: answers.DifferenceUnderWay},
        (
            Parameter("left", "Id of a job.", _TEXT, required=True),
            Parameter("right", "Id of another.", _TEXT, required=True),
        ),
        errors=(400, 404, 502, 503),
    ),
    Route(
        "POST", "/api/v1/look", "lookAtSource", "Count what a source lists, as far as that is quickly done.",
        {200: answers.SourceLooked}, body=answers.SourceAsked, errors=(*_CHANGING, 422, 502), changes=True,
    ),
)  # fmt: skip
"""Every route under ``/api/v1/`` but the description's own."""
