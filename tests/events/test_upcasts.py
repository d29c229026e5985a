from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.events.examples import EXAMPLES
from watson.events import EVENT_TYPES, encode_value
from watson.events.upcasts import UPCASTS, Upcast, image_quarantined_v1_to_v2, upcast


def parrot_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    return {"name": data["parrot"], "state": "stunned"}


def parrot_v2_to_v3(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "breed": "Norwegian Blue"}


TABLE: dict[tuple[str, int], Upcast] = {("parrot", 1): parrot_v1_to_v2, ("parrot", 2): parrot_v2_to_v3}


def test_the_newest_version_is_left_as_it_is() -> None:
    data = {"name": "Polly"}
    assert upcast("parrot", 3, 3, data, TABLE) is data


def test_each_step_up_to_the_newest_is_applied_in_order() -> None:
    newest = {"name": "Polly", "state": "stunned", "breed": "Norwegian Blue"}
    assert upcast("parrot", 1, 3, {"parrot": "Polly"}, TABLE) == newest
    assert upcast("parrot", 2, 3, {"name": "Polly", "state": "stunned"}, TABLE) == newest


def test_a_missing_step_is_an_error_that_names_it() -> None:
    with pytest.raises(LookupError, match="no upcast of parrot from version 3 to 4"):
        upcast("parrot", 2, 4, {"name": "Polly"}, TABLE)


def test_steps_of_another_kind_are_not_applied() -> None:
    with pytest.raises(LookupError, match="no upcast of budgie"):
        upcast("budgie", 1, 2, {}, TABLE)


def test_the_table_has_a_step_from_every_old_version_of_every_event() -> None:
    wanted = {(event.kind, version) for event in EVENT_TYPES.values() for version in range(1, event.version)}
    assert set(UPCASTS) == wanted


def first_letter(reason: str = "truncated", **changes: Any) -> dict[str, Any]:
    """A letter as version 1 had it, brought to version 2: its failed record."""
    event = EXAMPLES["image-quarantined"]
    failed = event.failed.model_copy(update=changes)  # type: ignore[attr-defined]
    data = orjson.loads(encode_value(event.model_copy(update={"failed": failed})))
    del data["failed"]["cut"]
    upcasted: dict[str, Any] = image_quarantined_v1_to_v2({**data, "reason": reason})["failed"]
    return upcasted


@pytest.mark.parametrize(
    ("changes", "cut"),
    [
        ({}, False),
        ({"value": None, "key": None, "headers": ()}, False),
        ({"value": b"x" * 449_999}, False),
        ({"value": b"x" * 450_000}, True),
        ({"key": b"x" * 10_000}, True),
        ({"key": b"x" * 9_999}, False),
        ({"headers": (("h", b""),) * 31}, False),
        ({"headers": (("h", b""),) * 32}, True),
        ({"headers": (("h", b"x" * 4096),)}, True),
        ({"headers": (("h", b"x" * 4095), ("h" * 255, b""))}, False),
        ({"headers": (("h" * 256, b""),)}, True),
    ],
)
def test_a_letter_of_the_first_version_is_cut_where_something_is_as_long_as_a_letter_held(
    changes: dict[str, Any], cut: bool
) -> None:
    assert first_letter(**changes)["cut"] is cut


def test_a_letter_of_the_first_version_of_an_image_that_vanished_did_not_know_its_offset() -> None:
    assert first_letter("vanished", offset=0)["offset"] is None
    assert first_letter("truncated", offset=0)["offset"] == 0
