"""What requests bring: read as far as a limit, and taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

__all__ = ["MOST_BYTES", "Form", "read_form", "read_json"]

MOST_BYTES = 262_144
"""Of a body. The largest that makes sense is a job with two thousand categories."""

_MOST_FIELDS = 3000
_CHUNK = 16_384


class Form(Mapping[str, str]):
    """Fields by name; of a field that comes several times, `all` has each."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._fields[name][0]

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return self._fields.get(name, [])


async def read_form(request: web.Request) -> Form:
    """The fields of a form that was sent as browsers send forms without files.

    Raises:
        HTTPException: 413 too large; 415 of another type; 400 not text, or too many fields.
    """
    data = await _read(request, "application/x-www-form-urlencoded")
    try:
        fields = parse_qsl(data.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError as exc:
        raise web.HTTPBadRequest(text="The form is not text in UTF-8.") from exc
    except ValueError as exc:
        raise web.HTTPBadRequest(text=f"The form has more than {_MOST_FIELDS} fields.") from exc
    return Form(fields)


async def read_json(request: web.Request) -> object:
    """The JSON document of a body; an empty body is an empty object.

    Raises:
        HTTPException: 413 too large; 415 of another type; 400 not JSON.
    """
    data = await _read(request, "application/json")
    try:
        return orjson.loads(data or b"{}")
    except orjson.JSONDecodeError as exc:
        raise web.HTTPBadRequest(text=f"The body is not JSON: {exc}.") from exc


async def _read(request: web.Request, wanted: str) -> bytes:
    if request.content_type != wanted:
        raise web.HTTPUnsupportedMediaType(text=f"A body of type {wanted} is wanted, not {request.content_type}.")
    if "Content-Encoding" in request.headers:  # a few bytes could become very many
        raise web.HTTPUnsupportedMediaType(text="The body must not be compressed.")
    if (request.content_length or 0) > MOST_BYTES:
        raise _too_large(request.content_length or 0)
    data = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > MOST_BYTES:
            raise _too_large(len(data))
    return bytes(data)


def _too_large(size: int) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        MOST_BYTES, size, text=f"The body is too large: at most {MOST_BYTES:,} bytes are taken."
    )
