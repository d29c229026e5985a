from __future__ import annotations

from uuid import uuid4

import pytest

from watson.web.flow.reading import TopicLag, worker_name

UUID = "0f8a2c1e-7d2e-4c7b-9a55-3d3f6f0b9c11"


@pytest.mark.parametrize(
    ("member", "client", "name"),
    [
        (f"faust-0.15.3-{UUID}", "faust-0.15.3", "0f8a2c1e"),
        (f"faust-0.15.3-{UUID}", "", "0f8a2c1e"),
        (f"segment-7-{UUID}", "faust-0.15.3", "segment-7"),
        ("something else", "faust-0.15.3", "something else"),
        ("", "", ""),
    ],
)
def test_a_worker_is_named_by_its_static_name_or_the_beginning_of_its_random_one(
    member: str, client: str, name: str
) -> None:
    assert worker_name(member, client) == name


def test_two_workers_of_one_client_have_two_names() -> None:
    assert len({worker_name(f"faust-{uuid4()}", "faust") for _ in range(20)}) == 20


def test_done_grows_by_what_was_committed_and_not_by_what_came() -> None:
    before, after = TopicLag("t", (10, 20), (4, 0)), TopicLag("t", (15, 20), (7, 0))
    assert (before.lag, after.lag) == (4, 7)
    assert after.done - before.done == 2
