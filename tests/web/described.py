"""Checks every answer of the API that a test gets against the API's own description."""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import ClientResponse, TraceConfig
from jsonschema import Draft202012Validator, FormatChecker

from watson.web.openapi import PATH, description

_BEYOND = {405, 500}
"""Statuses of answers that no route describes: of another method, and of defects."""


def answers_checked() -> TraceConfig:
    """What a client session must be given for it."""

    async def check(_session: object, _context: object, params: Any) -> None:
        response: ClientResponse = params.response
        path = response.url.raw_path
        if path.startswith("/api/v1/") and path != PATH and response.content_type == "application/json":
            check_answer(params.method, path, response.status, await response.read())

    config = TraceConfig()
    config.on_request_end.append(check)
    return config


def check_answer(method: str, path: str, status: int, body: bytes) -> None:
    """Raises AssertionError where an answer is not what the description says."""
    operation = _operation(method, path)
    if method == "HEAD" or status in _BEYOND or (operation is None and status == 404):
        return
    assert operation is not None, f"{method} {path} is not described"
    assert str(status) in operation["responses"], f"{method} {path} answered {status}, which is not described: {body!r}"
    schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**description(), **schema}, format_checker=FormatChecker())
    validator.validate(json.loads(body))


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, operations in description()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path) and method.lower() in operations:
            return operations[method.lower()]
    return None
