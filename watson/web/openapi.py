"""The API's description, OpenAPI 3.1: made from the table of routes and the models of the answers."""

from __future__ import annotations

import inspect
import re
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from watson import __version__
from watson.web.routes import PATH_PARAMETERS, ROUTES, Parameter, Route

__all__ = ["PATH", "description"]

PATH = "/api/v1/openapi.json"

_DESCRIPTION = """\
What the pages show, for programs. Lists are bounded and come in pages: `cursor` of one is `after` of the next. Errors
are `{"error": "…"}`. What changes something needs `Authorization: Bearer TOKEN` where the web workers have a token
(`WATSON_WEB_TOKEN`); without one it is taken from the server's own machine alone."""

_REFERENCE = "#/components/schemas/{model}"
_WHY = {
    400: "Makes no sense; says what.",
    401: "No token was sent.",
    403: "Not allowed; says what would be.",
    404: "There is no such thing.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "Something that was asked for cannot be; says what, by field.",
    429: "Too many wrong tokens: see Retry-After.",
    502: "What the store has is missing or damaged.",
    503: "A service is away, or it took too long: see Retry-After.",
}


@cache
def description() -> dict[str, Any]:
    """The document."""
    schemas, components = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watson",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> tuple[dict[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """A reference for each model that the table names, and what the references lead to."""
    answered = [
        model for route in ROUTES for code in (*route.answers, *route.errors) if (model := route.model_of(code))
    ]
    asked = [route.body for route in ROUTES if route.body is not None]
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "serialization") for model in dict.fromkeys(answered)),
        *((model, "validation") for model in dict.fromkeys(asked)),
    ]
    references, definitions = models_json_schema(models, ref_template=_REFERENCE)
    components = {name: _cleaned(schema) for name, schema in definitions["$defs"].items()}
    return {model: dict(references[model, mode]) for model, mode in models}, components


def _operation(route: Route, schemas: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    in_path = [PATH_PARAMETERS[name] for name in re.findall(r"{(\w+)}", route.path)]
    said: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": [_parameter(one) for one in (*in_path, *route.parameters)],
        "responses": {str(status): _response(route, status, schemas) for status in (*route.answers, *route.errors)},
    }
    if route.body is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[route.body]}}}
    if route.changes:
        said["security"] = [{"token": []}, {}]
    return said


def _parameter(one: Parameter) -> dict[str, Any]:
    required = {"required": True} if one.required else {}
    return {"name": one.name, "in": one.place, "description": one.description, "schema": one.schema, **required}


def _response(route: Route, status: int, schemas: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    model = route.model_of(status)
    if model is None:
        raise ValueError(f"{route.operation} says nothing of {status}")
    words = _WHY.get(status) if status in route.errors else (inspect.getdoc(model) or "").splitlines()[0]
    content = {"application/json": {"schema": schemas[model]}}
    if route.stream and status in route.answers:
        content = {"text/event-stream": {"schema": {"type": "string", "contentSchema": schemas[model]}}}
    return {"description": words or HTTPStatus(status).phrase, "content": content}


def _cleaned(schema: dict[str, Any]) -> dict[str, Any]:
    """Docstrings as Markdown has them."""
    if "description" in schema:
        schema = {**schema, "description": inspect.cleandoc(schema["description"]).replace("``", "`")}
    return schema
