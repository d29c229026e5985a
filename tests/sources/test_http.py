"""Pictures by http: what may be asked, of whom, for how long, and what is made of the answer."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.sources.conftest import uris
from watson.errors import ReasonCode, Refused, Retriable
from watson.events import Original, Source
from watson.settings import Settings
from watson.sources import Reader
from watson.sources.http import HttpReader
from watson.sources.public_addresses import is_public
from watson.sources.uris import HttpPlace, canonical, parse_uri

ON = Settings(http_sources=True, http_networks="127.0.0.0/8", http_timeout=5.0)
Answer = Callable[[web.Request], Any]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A web server on loopback; gives its URL without a slash at the end."""

    async def handle(request: web.Request) -> web.StreamResponse:
        made = answer(request)
        return await made if asyncio.iscoroutine(made) else made

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"


async def read(url: str, settings: Settings = ON, limit: int = 1000) -> bytes:
    async with Reader(settings) as reader:
        return await reader.read(url, limit)


async def refusal(url: str, settings: Settings = ON, limit: int = 1000) -> Refused:
    with pytest.raises(Refused) as caught:
        await read(url, settings, limit)
    return caught.value


class Names(aiohttp.abc.AbstractResolver):
    """Resolves every name to the addresses given, a list for each time that it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[Any]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
            for address in addresses
        ]

    async def close(self) -> None: ...


async def test_a_picture_is_fetched_as_it_is_without_cookies_or_credentials() -> None:
    seen: list[web.Request] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b"picture", headers={"Set-Cookie": "id=1"})

    async with serving(answer) as server, Reader(ON) as reader:
        for _ in range(2):
            assert await reader.read(f"{server}/a%20b?c=%2F#d", 7) == b"picture"
    assert {request.method for request in seen} == {"GET"}
    assert {request.raw_path for request in seen} == {"/a%20b?c=%2F"}
    for request in seen:
        assert not {"Cookie", "Authorization", "Referer"} & set(request.headers)
        assert request.headers["Accept-Encoding"] == "identity"


async def test_nothing_is_asked_unless_it_is_switched_on() -> None:
    seen: list[web.Request] = []
    async with serving(lambda request: seen.append(request) or web.Response(body=b"x")) as server:
        refused = await refusal(server, Settings(http_networks="127.0.0.0/8"))
    assert refused.code is ReasonCode.ACCESS_DENIED
    assert "WATSON_HTTP_SOURCES" in str(refused)
    assert seen == []


PRIVATE = [
    *("127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1"),  # noqa: S104 - not bound to
    *("::1", "::", "::127.0.0.1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    *("2002:a9fe:a9fe::1", "2001:0:7f00:1::"),
    *(
        "168.63.129.16",
        "192.0.0.9",
        "192.88.99.1",
        "192.0.0.192",
        "::ffff:168.63.129.16",
        "64:ff9b::a83f:8110",
    ),  # providers' insides
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_everybodys_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:169.254.169.254]", "169.254.169.254"),
    ],
)
async def test_no_spelling_of_a_private_address_is_connected_to(host: str) -> None:
    """A server that would answer listens there, so that a connection would be seen."""
    seen: list[web.Request] = []
    async with serving(lambda request: seen.append(request) or web.Response(body=b"secret")) as server:
        port = server.rpartition(":")[2]
        with pytest.raises(Refused) as caught:
            await read(f"http://{host}:{port}/", Settings(http_sources=True, http_timeout=5.0))
    assert seen == []
    assert "not a public address" in str(caught.value) or "not a canonical IPv4" in str(caught.value)


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["fd00::1"], ["::ffff:10.0.0.1"]])
async def test_a_name_that_resolves_to_a_private_address_among_others_is_refused(answers: list[str]) -> None:
    reader = HttpReader(Settings(http_sources=True), Names(answers))
    with pytest.raises(Refused, match="not a public address") as caught:
        await reader.read("http://innocent.example/x.jpg", 1000)
    assert caught.value.code is ReasonCode.ACCESS_DENIED
    await reader.close()


async def test_a_name_that_resolves_to_something_else_the_second_time_is_refused_the_second_time() -> None:
    """What is checked is what is connected to, so there is no second look-up to lie to."""
    async with serving(lambda _: web.Response(body=b"x", headers={"Connection": "close"})) as server:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        reader = HttpReader(ON, names)
        port = server.rpartition(":")[2]
        assert await reader.read(f"http://rebinding.example:{port}/", 10) == b"x"
        assert names.asked == ["rebinding.example"]
        reader._session.connector.clear_dns_cache()  # type: ignore[union-attr]
        with pytest.raises(Refused, match=r"10\.0\.0\.1, which is not a public address"):
            await reader.read(f"http://rebinding.example:{port}/", 10)
        await reader.close()


async def test_a_redirect_is_followed_and_leads_no_further_than_an_address_in_a_list() -> None:
    def answer(request: web.Request) -> web.Response:
        to = request.query.get("to")
        return web.Response(status=302, headers={"Location": to}) if to else web.Response(body=b"there")

    async with serving(answer) as server:
        assert await read(f"{server}/?to=/picture.jpg") == b"there"
        for target in ("http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "//[::1]/"):
            refused = await refusal(f"{server}/?to={target}")
            assert refused.code is ReasonCode.ACCESS_DENIED, target
        for target in (
            "file:///etc/passwd",
            "ftp://x/",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "http://a:b@x/",
            "http://",
        ):
            assert (await refusal(f"{server}/?to={target}")).code is ReasonCode.SOURCE_INVALID, target


async def test_redirects_that_go_round_in_circles_end() -> None:
    seen: list[web.Request] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=307, headers={"Location": "/again"})

    async with serving(answer) as server:
        refused = await refusal(server)
    assert "more than 3 redirects" in str(refused)
    assert len(seen) == 4


@pytest.mark.parametrize("how", ["stated", "chunked"])
async def test_no_more_is_read_than_the_limit(how: str) -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        if how == "stated":
            response.content_length = 10_000_000_000
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
                sent += 65536
        except ConnectionResetError:
            return response

    async with serving(answer) as server:
        refused = await refusal(server, limit=100_000)
        assert refused.code is ReasonCode.TOO_LARGE
        assert sent < 20_000_000


@pytest.mark.parametrize("said", ["gzip", "br", "zstd"])
async def test_a_compressed_answer_is_refused_and_never_unpacked(said: str) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    async with serving(lambda _: web.Response(body=bomb, headers={"Content-Encoding": said})) as server:
        refused = await refusal(server, limit=1_000_000)
    assert refused.code is ReasonCode.SOURCE_INVALID
    assert "compressed" in str(refused)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, Refused, ReasonCode.OBJECT_MISSING),
        (410, Refused, ReasonCode.OBJECT_MISSING),
        (401, Refused, ReasonCode.ACCESS_DENIED),
        (403, Refused, ReasonCode.ACCESS_DENIED),
        (206, Refused, ReasonCode.SOURCE_INVALID),
        (204, Refused, ReasonCode.SOURCE_INVALID),
        (400, Refused, ReasonCode.SOURCE_INVALID),
        (304, Refused, ReasonCode.SOURCE_INVALID),
        (429, Retriable, ReasonCode.STORE_UNAVAILABLE),
        (500, Retriable, ReasonCode.STORE_UNAVAILABLE),
        (503, Retriable, ReasonCode.STORE_UNAVAILABLE),
    ],
)
async def test_answers_are_told_apart_by_what_may_pass(
    status: int, kind: type[Refused | Retriable], code: ReasonCode
) -> None:
    async with serving(lambda _: web.Response(status=status)) as server:
        with pytest.raises(kind) as caught:
            await read(server)
    assert caught.value.code is code
    assert server in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
        b"\x16\x03\x01 not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(100_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\nx\r\n",
        b"",
        None,
    ],
    ids=["cut off", "no http", "long header", "many headers", "negative length", "broken chunks", "closed", "silent"],
)
async def test_a_server_that_breaks_off_lies_or_says_nothing_is_a_passing_cause(answer: bytes | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()  # until the other side has had enough
        writer.write(answer or b"")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Retriable) as caught:
            await read(f"http://127.0.0.1:{port}/", ON.model_copy(update={"http_timeout": 0.5}))
    assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
    assert len(str(caught.value)) < 1200


async def test_a_server_that_drips_is_given_up_in_time() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    async with serving(answer) as server:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Retriable):
            await read(server, ON.model_copy(update={"http_timeout": 0.4}))
        assert asyncio.get_running_loop().time() - began < 3


async def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(lambda _: web.Response(body=b"straight")) as server:
        assert await read(server) == b"straight"


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("HTTP://Example.ORG:80", "http://example.org/"),
        ("https://x:443/a", "https://x/a"),
        ("https://x:8443?q=1#f", "https://x:8443/?q=1"),
        ("http://x/ä b%20c\\d<e>", "http://x/%C3%A4%20b%20c%5Cd%3Ce%3E"),
        ("http://x/../a", "http://x/../a"),
        ("http://[::1]:80/", "http://[::1]/"),
    ],
)
def test_the_spelling_of_addresses_is_fixed(written: str, url: str) -> None:
    assert parse_uri(written) == HttpPlace(url)
    assert canonical(parse_uri(url)) == url


@hypothesis_settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(["http", "https", "HTTP"]), st.text(max_size=60))
def test_whatever_follows_the_scheme_has_one_plain_spelling_or_is_refused(scheme: str, rest: str) -> None:
    try:
        place = parse_uri(f"{scheme}://{rest}")
    except Refused:
        return
    url = canonical(place)
    assert parse_uri(url) == place
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set(' "<>\\')
    Original(uri=url)


async def test_addresses_stand_in_lists_of_every_format(tmp_path: Path) -> None:
    url = "https://example.org/a%20b.jpg"
    (tmp_path / "l.txt").write_text("https://Example.org:443/a b.jpg\n")
    (tmp_path / "l.csv").write_text("uri\nhttps://example.org/a%20b.jpg\n")
    (tmp_path / "l.jsonl").write_text('{"uri": "https://example.org/a b.jpg#x"}\n')
    for name in ("l.txt", "l.csv", "l.jsonl"):
        assert await uris(Source(kind="list", uri=str(tmp_path / name)), Settings()) == [url]
