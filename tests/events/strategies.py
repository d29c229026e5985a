"""Any event that the models allow, made from the models: a new field is covered the day it is added."""

from __future__ import annotations

import string
import typing
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any
from uuid import UUID

import annotated_types as limits
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, JsonValue, StringConstraints
from pydantic.fields import FieldInfo

from watson.events import Event

NAMES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=1).flatmap(
    lambda first: st.text(string.ascii_letters + string.digits + "._-", max_size=20).map(lambda rest: first + rest)
)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
TEXTS = st.characters(exclude_categories=["Cs"])  # JSON in UTF-8 has no lone surrogates

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e9, 1e9, allow_subnormal=False)
    | st.text(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXTS), inner, max_size=3),
    max_leaves=8,
)


def events(kind: type[Event]) -> st.SearchStrategy[Any]:
    """All events of one kind."""
    return _model(kind)


def _model(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: _of(field.annotation, _limits_of(field)) for name, field in model.model_fields.items()}
    return st.fixed_dictionaries(fields).map(lambda values: model(**values))


def _limits_of(field: FieldInfo) -> list[Any]:
    return list(field.metadata)


def _of(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a case each
    if annotation is JsonValue:
        return JSON
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _of(arguments[0], [*arguments[1:], *metadata])
    if origin in (typing.Union, UnionType):
        return st.one_of(*(_of(argument, metadata) for argument in arguments))
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(_of(arguments[0], []), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(_of(argument, []) for argument in arguments))
    if origin is dict:
        return st.dictionaries(_of(arguments[0], []), _of(arguments[1], []), max_size=3)
    return _plain(annotation, metadata)


def _plain(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a case each
    if annotation is NoneType:
        return st.none()
    if issubclass(annotation, BaseModel):
        return _model(annotation)
    if issubclass(annotation, StrEnum):
        return st.sampled_from(annotation)
    if annotation is str:
        return _text(metadata)
    if annotation is int:
        return st.integers(int(_bound(metadata, "ge", 0)), int(_bound(metadata, "le", 2**53)))
    if annotation is float:
        least, most = _bound(metadata, "ge", _bound(metadata, "gt", -1e9)), _bound(metadata, "le", 1e9)
        most = _bound(metadata, "lt", most)
        above, below = (any(isinstance(limit, kind) for limit in _flat(metadata)) for kind in (limits.Gt, limits.Lt))
        return st.floats(least, most, exclude_min=above, exclude_max=below, allow_subnormal=False)
    return {UUID: st.uuids(), bytes: st.binary(max_size=20), bool: st.booleans(), AwareDatetime: TIMES}[annotation]


def _text(metadata: list[Any]) -> st.SearchStrategy[str]:
    patterns = [limit.pattern for limit in metadata if isinstance(limit, StringConstraints) and limit.pattern]
    if patterns:
        return HASHES if "64" in str(patterns[0]) else NAMES
    return st.text(TEXTS, min_size=int(_bound(metadata, "min_length", 0)), max_size=40)


def _flat(metadata: list[Any]) -> list[Any]:
    """A `Field` in an `Annotated` keeps its limits inside."""
    return [inner for limit in metadata for inner in (limit.metadata if isinstance(limit, FieldInfo) else [limit])]


def _bound(metadata: list[Any], name: str, default: float) -> float:
    found = [getattr(limit, name) for limit in _flat(metadata) if getattr(limit, name, None) is not None]
    return max(found) if name in ("ge", "gt", "min_length") and found else min(found, default=default)
