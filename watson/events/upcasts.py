"""Old wire forms become today's: pure functions dict → dict, one a step, in a table by kind and version.

To change an event's wire form: raise its ``version``, add a step from the old version here, and keep a golden example
of the old version in ``tests/events/golden/``. Steps are applied one after another until today's version is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["UPCASTS", "Upcast", "upcast"]

Upcast = Callable[[dict[str, Any]], dict[str, Any]]


def partition_progressed_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    """It did not tell whose fault a quarantine was: none counts as the deployment's."""
    return {**data, "accused": 0, "retried": 0, "round": 0, "accusation": ""}


def partition_progressed_v2_to_v3(data: dict[str, Any]) -> dict[str, Any]:
    """It did not tell which owner of the partition said it: one before all that do."""
    return {**data, "owner": 0}


def job_changed_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    """No job could be paused, so none was resumed."""
    return {**data, "resumes": 0}


def job_changed_v2_to_v3(data: dict[str, Any]) -> dict[str, Any]:
    """It did not tell when the job was submitted: its newest manifest does."""
    return {**data, "submitted_at": None}


def model_registered_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    """Only models that Watson brings could be registered: their configuration is in the code."""
    return {**data, "weights_size": 0, "configuration": {}, "base": "", "dataset": ""}


def image_quarantined_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    """It stated 0 where the offset was not known, and did not tell whether the record was cut."""
    failed = data["failed"]
    offset = None if data["reason"] == "vanished" else failed["offset"]
    return {**data, "failed": {**failed, "offset": offset, "cut": _was_cut(failed)}}


def _was_cut(failed: Mapping[str, Any]) -> bool:
    """Whether something of it is as long as it may be: it was cut, or else stands in the log just as it is here."""
    headers = failed.get("headers") or ()
    return (
        _size(failed["value"]) == 450_000
        or _size(failed["key"]) == 10_000
        or len(headers) == 32
        or any(len(name) == 256 or _size(value) == 4096 for name, value in headers)
    )


def _size(base64: str | None) -> int:
    """Bytes that a text in base64 stands for."""
    return 0 if base64 is None else len(base64) // 4 * 3 - base64[-2:].count("=")


def image_discovered_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    """It did not tell which directory a file must not lead out of."""
    return {**data, "within": None}


UPCASTS: dict[tuple[str, int], Upcast] = {
    ("image-discovered", 1): image_discovered_v1_to_v2,
    ("partition-progressed", 1): partition_progressed_v1_to_v2,
    ("partition-progressed", 2): partition_progressed_v2_to_v3,
    ("job-changed", 1): job_changed_v1_to_v2,
    ("job-changed", 2): job_changed_v2_to_v3,
    ("model-registered", 1): model_registered_v1_to_v2,
    ("image-quarantined", 1): image_quarantined_v1_to_v2,
}
"""(kind, version) → the step from that version to the next."""


def upcast(
    kind: str, version: int, newest: int, data: dict[str, Any], table: dict[tuple[str, int], Upcast] | None = None
) -> dict[str, Any]:
    """Bring ``data`` from ``version`` to ``newest``.

    Raises:
        LookupError: a step is missing from the table.
    """
    steps = UPCASTS if table is None else table
    for step in range(version, newest):
        try:
            data = steps[kind, step](data)
        except KeyError:
            raise LookupError(f"no upcast of {kind} from version {step} to {step + 1}") from None
    return data
