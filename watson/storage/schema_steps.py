"""Numbered steps of a database's schema: files ``schema/NNNN_what.sql`` and ``.cql``, applied once, in order.

A step that was released is never edited: a change is a further step. Statements end with ``;`` at the end of a line.
Those for Cassandra are written so that doing them twice does no harm (``IF NOT EXISTS``); SQLite does a step and
records it in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from watson.errors import UserError

__all__ = ["SchemaStep", "check_schema", "refuse_newer", "schema_steps"]

_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>\w+)\.(?P<dialect>sql|cql)")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_END = re.compile(r";\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SchemaStep:
    """One step. ``name`` as the file is named, for example ``0001_tables``."""

    number: int
    name: str
    statements: tuple[str, ...]


@cache
def schema_steps(dialect: Literal["sql", "cql"]) -> tuple[SchemaStep, ...]:
    """All steps of this code, by number."""
    steps = []
    for file in files("watson.storage").joinpath("schema").iterdir():
        match = _NAME.fullmatch(file.name)
        if match and match["dialect"] == dialect:
            text = _COMMENT.sub("", file.read_text(encoding="utf-8"))
            statements = tuple(part.strip() for part in _END.split(text) if part.strip())
            steps.append(SchemaStep(int(match["number"]), f"{match['number']}_{match['name']}", statements))
    return tuple(sorted(steps, key=lambda step: step.number))


def refuse_newer(place: str, done: Collection[int], steps: Collection[SchemaStep]) -> None:
    """Refuse a schema with steps that this code does not know.

    Raises:
        UserError: says to upgrade Watson.
    """
    known = max(step.number for step in steps)
    newest = max(done, default=0)
    if newest > known:
        raise UserError(
            f"The schema of {place} is at step {newest}; this Watson knows up to step {known}: upgrade Watson."
        )


def check_schema(place: str, done: Collection[int], steps: Collection[SchemaStep]) -> None:
    """Refuse any schema but this code's own.

    Raises:
        UserError: says to migrate, or to upgrade Watson.
    """
    refuse_newer(place, done, steps)
    missing = [step.name for step in steps if step.number not in done]
    if missing:
        raise UserError(
            f"The schema of {place} lacks {', '.join(missing)}: run `watson catalogue migrate` (WATSON_CATALOGUE "
            "names the catalogue)."
        )
