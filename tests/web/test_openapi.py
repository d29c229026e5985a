"""The API's description, against what is mounted and against the standard."""

from __future__ import annotations

import inspect
import json

import pytest
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.web.described import check_answer
from tests.web.scene import Scene, plain_app, site
from watson.settings import Settings
from watson.web import answers
from watson.web.openapi import PATH, description
from watson.web.routes import ROUTES
from watson.web.site import mount_site


async def test_what_is_described_is_what_is_mounted_and_nothing_else(scene: Scene) -> None:
    settings = Settings(web_port=6066)
    app = plain_app(settings)
    mount_site(app, scene.catalogue, scene.objects, settings)
    mounted = {
        (route.method, route.resource.canonical)
        for route in app.web.web_app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    described = {(route.method, route.path) for route in ROUTES}
    assert mounted - described == {("GET", PATH)}
    assert described - mounted == set()


async def test_the_description_is_served_and_is_valid_openapi(scene: Scene) -> None:
    async with site(scene) as client, client.get(PATH) as answer:
        document = await answer.json()
    assert document == json.loads(json.dumps(description()))
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"


def test_each_operation_has_its_own_name_and_says_what_its_path_and_body_are() -> None:
    assert len({route.operation for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert route.summary.endswith(".")
        assert (route.body is not None) == (route.method == "POST") == route.changes


def test_every_model_of_an_answer_is_used_and_described() -> None:
    known = description()["components"]["schemas"]
    models = {
        name for name, one in vars(answers).items() if inspect.isclass(one) and one.__module__ == answers.__name__
    }
    assert {name for name in models if not name.startswith("_")} <= known.keys()
    assert all(schema.get("description") for schema in known.values() if schema.get("type") == "object")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"models": [], "more": 1}, "Additional properties"),
        ({}, "'models' is a required property"),
        ({"models": [{"name": "x"}]}, "required property"),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(body: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        check_answer("GET", "/api/v1/models", 200, json.dumps(body).encode())


@pytest.mark.parametrize(("path", "status"), [("/api/v1/none", 200), ("/api/v1/models", 418)])
def test_an_answer_that_is_not_described_at_all_is_found(path: str, status: int) -> None:
    with pytest.raises(AssertionError):
        check_answer("GET", path, status, b"{}")
