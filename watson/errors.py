"""Why something failed, and what the caller may do about it.

Three families, kept apart because three different readers act on them:

* `UserError` is for the person at the terminal: printed as one line, without a traceback, exit code 2.
* `Retriable` is for the stage loop: the cause can pass (time-out, throttling, 5xx), so try again with backoff.
* `Refused` is for the dead-letter topic: the picture (or event) itself is the cause; trying again gives the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "BrokerUnavailable",
    "EmitFailed",
    "PartitionRevoked",
    "ReasonCode",
    "RecordTooLarge",
    "Refused",
    "Retriable",
    "ServiceUnavailable",
    "UserError",
    "WatsonError",
    "problems_of",
]


class ReasonCode(StrEnum):
    """The closed list of reasons for which an image or an event is quarantined.

    The values are the wire format and a metric label: add, never rename.
    `docs/reason-codes.md` describes each for users.
    """

    # the picture
    EMPTY_FILE = "empty-file"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED_FORMAT = "unsupported-format"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_LARGE = "too-large"
    # where it comes from
    OBJECT_MISSING = "object-missing"
    ACCESS_DENIED = "access-denied"
    OBJECT_ALTERED = "object-altered"
    STORE_UNAVAILABLE = "store-unavailable"
    # the model
    MODEL_UNKNOWN = "model-unknown"
    MODEL_FAILED = "model-failed"
    # the flow
    UNDECODABLE_EVENT = "undecodable-event"
    UNSUPPORTED_VERSION = "unsupported-version"
    SOURCE_INVALID = "source-invalid"
    VANISHED = "vanished"
    RETRIES_EXHAUSTED = "retries-exhausted"
    INTERNAL_ERROR = "internal-error"

    @property
    def passes(self) -> bool:
        """Whether the cause may be gone later, so that `watson dead-letters retry` can help without a change."""
        return self in _PASSING

    @property
    def accuses_deployment(self) -> bool:
        """Whether it speaks against the workers and services rather than against the picture.

        Many such failures in a row pause a job (`watson.stages.breaker`), and `watson jobs resume` tries them again.
        """
        return self in _ACCUSING


_PASSING = frozenset(
    {
        ReasonCode.OBJECT_MISSING,
        ReasonCode.ACCESS_DENIED,
        ReasonCode.STORE_UNAVAILABLE,
        ReasonCode.MODEL_UNKNOWN,
        ReasonCode.MODEL_FAILED,
        ReasonCode.UNSUPPORTED_VERSION,
        ReasonCode.VANISHED,
        ReasonCode.RETRIES_EXHAUSTED,
        ReasonCode.INTERNAL_ERROR,
    }
)

# What is missing or altered (`object-missing`, `object-altered`, `source-invalid`) is not among them: a list that names
# many pictures that are gone is an ordinary list.
_ACCUSING = frozenset(
    {
        ReasonCode.ACCESS_DENIED,
        ReasonCode.STORE_UNAVAILABLE,
        ReasonCode.MODEL_UNKNOWN,
        ReasonCode.MODEL_FAILED,
        ReasonCode.UNDECODABLE_EVENT,
        ReasonCode.UNSUPPORTED_VERSION,
        ReasonCode.VANISHED,
        ReasonCode.RETRIES_EXHAUSTED,
        ReasonCode.INTERNAL_ERROR,
    }
)


class WatsonError(Exception):
    """Everything that Watson raises on purpose."""


class UserError(WatsonError):
    """A mistake of the person who called: the message says what is wrong, where, and what to do."""


class Retriable(WatsonError):  # noqa: N818 - named for what the caller may do
    """The cause can pass. `code` is the reason recorded when the retries have come to their end."""

    def __init__(self, message: str, code: ReasonCode = ReasonCode.RETRIES_EXHAUSTED) -> None:
        super().__init__(message)
        self.code = code


class Refused(WatsonError):  # noqa: N818 - named for what happened to the picture
    """This picture or event cannot be processed, however often it is tried. `code` is the reason."""

    def __init__(self, code: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class EmitFailed(WatsonError):  # noqa: N818 - named for what happened
    """The broker did not acknowledge a record. Nothing that depends on it may be acknowledged: end the worker."""


class RecordTooLarge(EmitFailed):
    """The broker will never take this record, however often it is sent: it is beyond the limit on its size."""


class PartitionRevoked(WatsonError):  # noqa: N818 - named for what happened
    """The partition belongs to another worker now. Abandon the event, unacknowledged: it is delivered again there."""


class ServiceUnavailable(UserError):  # noqa: N818 - named for what happened
    """A service that the command or worker cannot do without does not answer. The person may have to start it."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


class BrokerUnavailable(ServiceUnavailable):
    """No broker answered for as long as the settings allow."""


def problems_of(exc: ValidationError) -> list[str]:
    """Each field that pydantic refused, and why: ``rules.least_score: Input should be …``."""
    return [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors(include_url=False)]
