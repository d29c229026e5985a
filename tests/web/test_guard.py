from __future__ import annotations

import asyncio
import socket

import pytest

from tests.services.places import free_port
from tests.web.scene import Scene, plain_app, serving, site
from watson.errors import Retriable
from watson.settings import Settings
from watson.storage.sqlite import SqliteCatalogue
from watson.web.guard import guard
from watson.web.health import mount_health
from watson.web.site import mount_site

FAUSTS_OWN = ("/table/", "/router/", "/graph/", "/stats/", "/assignment/", "/performance/")


@pytest.mark.parametrize("path", FAUSTS_OWN)
async def test_no_page_of_fausts_own_is_served(scene: Scene, path: str) -> None:
    async with site(scene) as client, client.get(path) as answer:
        assert answer.status == 404


async def test_a_role_without_a_site_serves_nothing_at_the_root() -> None:
    settings = Settings(web_port=free_port())
    app = plain_app(settings)
    mount_health(app, dict, settings)
    async with serving(app) as client, client.get("/") as answer:
        assert answer.status == 404


async def test_the_server_listens_on_the_loopback_address_alone(scene: Scene) -> None:
    async with site(scene) as client:
        port = client._base_url.port
        socket.create_connection(("127.0.0.1", port), 5).close()
        # 127.0.0.2 is this machine too: a server bound to all addresses answers there.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 5)


@pytest.mark.parametrize("path", ["/", "/nothing/here", "/api/v1/jobs", "/static/site.css", "/jobs/x/images/y/picture"])
async def test_every_response_has_the_security_headers(scene: Scene, path: str) -> None:
    async with site(scene) as client, client.get(path) as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        # with "no-referrer" a browser would send no Origin with our own forms either
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "aiohttp" not in answer.headers["Server"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/api/v1/models", "/api/v1/jobs/x", "/jobs/x/images/y/picture"])
async def test_what_is_only_looked_at_takes_nothing(scene: Scene, method: str, path: str) -> None:
    async with site(scene) as client, client.request(method, path) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_head_has_the_headers_of_get_and_no_body(scene: Scene) -> None:
    await scene.add_job("j")
    async with site(scene) as client, client.get("/api/v1/models") as got, client.head("/api/v1/models") as head:
        assert head.status == 200
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
        assert await head.read() == b""


async def test_an_error_is_json_to_a_program_and_a_page_to_a_browser(scene: Scene) -> None:
    async with site(scene) as client:
        async with client.get("/jobs/none") as answer:
            assert await answer.json() == {"error": "There is no job named 'none'."}
        async with client.get("/jobs/none", headers={"Accept": "text/html,*/*;q=0.8"}) as answer:
            assert answer.status == 404
            assert answer.content_type == "text/html"
            assert "There is no job named &#39;none&#39;." in await answer.text()
        async with client.get("/api/v1/jobs/none", headers={"Accept": "text/html"}) as answer:
            assert answer.content_type == "application/json"


class _Broken(SqliteCatalogue):
    error: Exception

    async def jobs(self) -> list:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Retriable("the catalogue is away"), 503, "the catalogue is away"),
        (TimeoutError(), 503, "too long"),
        (RuntimeError("secret detail"), 500, "defect"),
    ],
)
async def test_what_can_pass_is_503_and_a_defect_is_500_without_its_details(
    scene: Scene, error: Exception, status: int, said: str
) -> None:
    broken = _Broken(scene.catalogue._path)
    broken.error = error
    async with site(Scene(broken, scene.objects)) as client, client.get("/api/v1/jobs") as answer:
        assert answer.status == status
        message = (await answer.json())["error"]
        assert said in message
        assert "secret detail" not in message
        assert ("Retry-After" in answer.headers) == (status == 503)


async def test_an_answer_that_takes_too_long_is_cut_off(scene: Scene) -> None:
    class Slow(SqliteCatalogue):
        async def models(self) -> list:
            await asyncio.sleep(30)
            return []

        async def evaluations(self) -> list:
            return []

    slow = Scene(Slow(scene.catalogue._path), scene.objects)
    async with site(slow, web_timeout=0.2) as client, client.get("/api/v1/models") as answer:
        assert answer.status == 503


async def test_mounting_health_and_site_applies_the_rules_once(scene: Scene) -> None:
    settings = Settings(web_port=free_port())
    app = plain_app(settings)
    mount_health(app, dict, settings)
    mount_site(app, scene.catalogue, scene.objects, settings)
    guard(app, time_limit=1)
    assert len(app.web.web_app.middlewares) == 2  # those of the guard and of the site's access


async def test_static_files_are_kept_by_browsers_only_under_the_hash_of_their_content(scene: Scene) -> None:
    async with site(scene) as client:
        async with client.get("/") as answer:
            page = await answer.text()
        address = page.split('rel="stylesheet" href="')[1].split('"')[0]
        async with client.get(address) as answer:
            assert answer.status == 200
            assert "immutable" in answer.headers["Cache-Control"]
        async with client.get("/static/site.css") as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
        async with client.get("/static/../guard.py") as answer:
            assert answer.status == 404
        async with client.get("/static/%2e%2e/guard.py") as answer:
            assert answer.status in (403, 404)
