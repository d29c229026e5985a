from __future__ import annotations

from typing import Literal

import pytest

from watson.errors import UserError
from watson.storage.schema_steps import SchemaStep, check_schema, schema_steps


@pytest.mark.parametrize("dialect", ["sql", "cql"])
def test_steps_are_numbered_from_one_without_gaps(dialect: Literal["sql", "cql"]) -> None:
    steps = schema_steps(dialect)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))


def test_every_statement_for_cassandra_may_be_done_twice() -> None:
    statements = [statement for step in schema_steps("cql") for statement in step.statements]
    assert len(statements) >= 6
    assert all("IF NOT EXISTS" in statement.splitlines()[0] for statement in statements)


@pytest.mark.parametrize("dialect", ["sql", "cql"])
def test_every_statement_is_one(dialect: Literal["sql", "cql"]) -> None:
    for step in schema_steps(dialect):
        for statement in step.statements:
            assert not [line for line in statement.splitlines() if ";" in line.split("--")[0]], step.name


def test_a_gap_is_missed_and_a_newer_step_refused() -> None:
    steps = [SchemaStep(number, f"{number:04}_x", ()) for number in (1, 2, 3)]
    check_schema("here", {1, 2, 3}, steps)
    with pytest.raises(UserError, match="here lacks 0002_x: run `watson catalogue migrate`"):
        check_schema("here", {1, 3}, steps)
    with pytest.raises(UserError, match=r"step 4.*upgrade Watson"):
        check_schema("here", {1, 2, 3, 4}, steps)
