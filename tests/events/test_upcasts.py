from __future__ import annotations

from typing import Any

import pytest

from watson.events import EVENT_TYPES
from watson.events.upcasts import UPCASTS, Upcast, upcast


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
