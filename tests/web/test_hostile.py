"""Requests made to do harm: large bodies, odd addresses, slow senders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from tests.web.scene import Scene, site

ODD = [
    *("%2e%2e", "..%2f..", "a'b", "'; DROP TABLE jobs; --", 'a"b', "<script>", "a\nb", "a\r\nSet-Cookie: x=1", "\0"),
    *("é", "\u202e", "a%", "a b", "a/b", "x" * 4000, "{{7*7}}", "${x}", "-"),
]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("path", ["/jobs/{}", "/api/v1/jobs/{}", "/api/v1/jobs/{}/images", "/jobs/{}/dead-letters"])
async def test_no_name_of_a_job_is_more_than_a_name(scene: Scene, path: str, name: str) -> None:
    await scene.add_job("j")
    async with site(scene) as client, client.get(path.format(quote(name, safe=""))) as answer:
        assert answer.status == 404
        assert "Set-Cookie" not in answer.headers
        assert answer.content_type == "application/json" or "<script>" not in await answer.text()
    async with site(scene) as client, client.get("/api/v1/jobs") as answer:
        assert [job["job"] for job in (await answer.json())["jobs"]] == ["j"]


@pytest.mark.parametrize("key", ["x", "a9313d14-af42-5739-a189-266dc1abcdbf\n", "../x", "{}", "0" * 5000])
async def test_what_is_no_image_key_is_no_defect(scene: Scene, key: str) -> None:
    await scene.add_job("j")
    async with site(scene) as client:
        for path in ("/jobs/j/images/{}", "/api/v1/jobs/j/images/{}", "/jobs/j/images/{}/overlay.png"):
            async with client.get(path.format(quote(key, safe=""))) as answer:
                assert answer.status in (400, 404), path


@pytest.mark.slow  # the server goes on reading for ten seconds, to hear the end of the request
async def test_a_body_of_gigabytes_is_neither_read_nor_kept(scene: Scene) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4_000_000_000:
            sent += 65_536
            yield b"x" * 65_536

    async with site(scene) as client:
        for method, path in (("POST", "/"), ("GET", "/api/v1/jobs")):
            before = sent
            try:
                async with asyncio.timeout(30), client.request(method, path, data=endless()) as answer:
                    assert answer.status in (200, 404, 405)
            except ConnectionError:  # the server had enough, and hung up
                pass
            assert sent - before < 100_000_000, (method, path)
        async with client.get("/api/v1/jobs") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"\0" * 100_000,
    ],
    ids=["address", "header", "headers", "negative", "two lengths", "tls", "zeros"],
)
async def test_a_head_that_is_none_is_refused_and_the_next_request_is_answered(scene: Scene, head: bytes) -> None:
    async with site(scene) as client:
        port = client._base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        async with asyncio.timeout(20):
            said = await reader.read(100)
        writer.close()
        assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 431")) or said == b""
        async with client.get("/api/v1/jobs") as answer:
            assert answer.status == 200
