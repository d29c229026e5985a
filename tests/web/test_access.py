"""Who may change something: everything that must be refused, by everybody's ways of trying."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request

from tests.web.forms import browser, forms_of, send
from tests.web.log import Log
from tests.web.scene import Scene, plain_app, site
from watson.settings import Settings
from watson.web.access import Access
from watson.web.bodies import MOST_BYTES
from watson.web.routes import ROUTES
from watson.web.site import mount_site

TOKEN = "correct-horse-battery-staple"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what the settings say; `site` listens on this machine alone

API_ACTIONS = [route.path.format(job="j") for route in ROUTES if route.method == "POST"]
FORM_ACTIONS = [
    *("/submit", "/jobs/j/pause", "/jobs/j/resume", "/jobs/j/cancel"),
    *("/jobs/j/dead-letters/retry", "/dead-letters/retry", "/logout"),
]


@pytest.fixture(autouse=True)
def sent(log: Log) -> list[Any]:
    """What reached the log: whoever gets so far is taken down."""
    return log.events


@pytest.fixture
async def job(scene: Scene) -> Scene:
    await scene.add_job("j", "listing", discovered=3)
    await scene.add_dead_letter("j", "file:///a.jpg")
    return scene


def routes_that_take_something(scene: Scene) -> set[str]:
    """Every path of the site that takes a POST."""
    settings = Settings(web_port=6066)
    app = plain_app(settings)
    mount_site(app, scene.catalogue, scene.objects, settings)
    return {route.resource.canonical for route in app.web.web_app.router.routes() if route.method == "POST"}


async def test_these_tests_know_every_route_that_changes_something(scene: Scene) -> None:
    known = {path.replace("/j/", "/{job}/") for path in [*API_ACTIONS, *FORM_ACTIONS]}
    assert routes_that_take_something(scene) == known | {"/login"}


# ------------------------------------------------------------------ forms, on this machine, without a token
async def test_a_form_of_the_servers_own_page_is_taken(job: Scene, sent: list[Any]) -> None:
    async with site(job) as client:
        answer = await send(client, "/jobs/j/cancel")
        assert answer.status == 200
    assert [type(event).__name__ for event in sent] == ["JobCancelled"]


ELSEWHERE = {
    "another site": {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"},
    "another site, of an old browser": {"Origin": "http://evil.example", "Sec_Fetch_Site": None},
    "another port of this machine": {"Origin": "http://127.0.0.1:1", "Sec_Fetch_Site": "same-site"},
    "a page without an origin": {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
    "a page that hides where it is from": {"Origin": "null", "Sec_Fetch_Site": None},
    "a link that was followed": {"Origin": None, "Sec_Fetch_Site": "none"},
    "a browser that says nothing": {"Origin": None, "Sec_Fetch_Site": None},
    "a browser that lies half": {"Sec_Fetch_Site": "cross-site"},
    "an origin that is none": {"Origin": "javascript://127.0.0.1", "Sec_Fetch_Site": None},
    "an origin of two hosts": {"Origin": "http://127.0.0.1:6066, http://evil.example", "Sec_Fetch_Site": None},
}


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("path", FORM_ACTIONS)
async def test_a_form_that_another_site_sends_is_refused_though_all_else_is_right(
    job: Scene, sent: list[Any], path: str, headers: dict[str, str | None]
) -> None:
    async with site(job) as client:
        ((_, _, fields), *_) = await forms_of(client, "/jobs/j/cancel")
        async with client.post(path, data=fields, headers=browser(client, **headers)) as answer:
            assert answer.status == 403
    assert sent == []


@pytest.mark.parametrize("path", FORM_ACTIONS)
@pytest.mark.parametrize("secret", [None, "", "x", "é", "A" * 43, "\0", "x" * 10_000])
async def test_a_form_without_its_secret_is_refused(job: Scene, sent: list[Any], path: str, secret: str | None) -> None:
    async with site(job) as client:
        await forms_of(client, "/jobs/j/cancel")  # there is a session
        fields = {"do": "submit"} if secret is None else {"csrf": secret}
        async with client.post(path, data=fields, headers=browser(client)) as answer:
            assert answer.status == 403
            assert "load its page again" in await answer.text()
    assert sent == []


async def test_the_secret_of_another_session_is_worth_nothing(job: Scene, sent: list[Any]) -> None:
    async with site(job) as client:
        ((_, _, fields), *_) = await forms_of(client, "/jobs/j/cancel")
        client.cookie_jar.clear()
        await forms_of(client, "/jobs/j/cancel")
        async with client.post("/jobs/j/cancel", data=fields, headers=browser(client)) as answer:
            assert answer.status == 403
    assert sent == []


async def test_a_form_without_a_session_is_refused(job: Scene, sent: list[Any]) -> None:
    async with site(job) as client:
        ((_, _, fields), *_) = await forms_of(client, "/jobs/j/cancel")
        client.cookie_jar.clear()
        async with client.post("/jobs/j/cancel", data=fields, headers=browser(client)) as answer:
            assert answer.status == 403
    assert sent == []


HOSTS = ("evil.example", "evil.example:6066", "127.0.0.1.evil.example", "localhost.evil.example", "127.1", "2130706433")
ODD_HOSTS = (
    EVERYWHERE,
    "10.0.0.5",
    "[::]",
    "[::ffff:127.0.0.1]",
    "",
    "a b",
    "127.0.0.1, evil.example",
    "user@127.0.0.1",
)


@pytest.mark.parametrize("host", [*HOSTS, *ODD_HOSTS])
async def test_a_name_that_was_made_to_lead_here_changes_nothing(job: Scene, sent: list[Any], host: str) -> None:
    """DNS rebinding: a page of evil.example, whose name leads to this machine now, is of the same origin."""
    async with site(job) as client:
        ((_, _, fields), *_) = await forms_of(client, "/jobs/j/cancel")
        headers = browser(client, Host=host, Origin=f"http://{host}")
        async with client.post("/jobs/j/cancel", data=fields, headers=headers) as answer:
            assert answer.status in (400, 403)
        async with client.post("/api/v1/jobs/j/cancel", json={}, headers={"Host": host}) as answer:
            assert answer.status in (400, 403)
        async with client.get("/jobs/j", headers={"Host": host}) as answer:
            assert answer.status == 400 or "/jobs/j/cancel" not in await answer.text()
    assert sent == []


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "LOCALHOST:{port}", "127.0.0.1:{port}", "127.0.0.2", "[::1]:{port}"]
)
async def test_this_machines_own_names_will_do(job: Scene, sent: list[Any], host: str) -> None:
    async with site(job) as client:
        name = host.format(port=client._base_url.port)
        async with client.post("/api/v1/jobs/j/cancel", json={}, headers={"Host": name}) as answer:
            assert answer.status == 200
    assert len(sent) == 1


FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


@pytest.mark.parametrize("header", FORWARDED)
async def test_what_a_proxy_on_this_machine_passes_on_is_from_elsewhere(
    job: Scene, sent: list[Any], header: str
) -> None:
    ask = {"json": {}, "headers": {header: "192.0.2.7"}}
    async with site(job) as client, client.post("/api/v1/jobs/j/cancel", **ask) as answer:
        assert answer.status == 403
        assert "WATSON_WEB_TOKEN" in (await answer.json())["error"]
    assert sent == []


class _Connection:
    """A connection from somewhere."""

    def __init__(self, peer: str | None) -> None:
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 40_000) if name == "peername" and self._peer else default


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "::ffff:127.0.0.1", "2001:db8::1", None])
async def test_who_is_elsewhere_changes_nothing_though_the_port_was_led_to_this_machine(peer: str | None) -> None:
    """As a container's published port does it: the server listens on a loopback address, and others reach it."""
    access = Access(Settings(web_port=6066))

    async def never(*_: Any) -> web.Response:
        raise AssertionError("it was let through")

    request = make_mocked_request("POST", "/", headers={"Host": "127.0.0.1:6066"}, transport=_Connection(peer))
    with pytest.raises(web.HTTPForbidden):
        await access.document(never)(request)


# ------------------------------------------------------------------ other addresses, without a token
@pytest.mark.parametrize("address", [EVERYWHERE, "::", "192.0.2.1", "watson.example", ""])
async def test_on_any_other_address_nobody_changes_anything_and_it_is_said_what_to_do(address: str) -> None:
    """Not bound for real: whoever is asked is the rule itself."""
    access = Access(Settings(web_host=address, web_port=6066))

    async def never(*_: Any) -> web.Response:
        raise AssertionError("it was let through")

    for checked in (access.form(never), access.document(never)):
        with pytest.raises(web.HTTPForbidden) as refused:
            await checked(make_mocked_request("POST", "/", headers={"Host": "127.0.0.1:6066"}))
        assert "WATSON_WEB_TOKEN" in (refused.value.text or "")


@pytest.mark.parametrize("path", [*FORM_ACTIONS, *API_ACTIONS])
async def test_a_server_that_others_reach_only_shows(job: Scene, sent: list[Any], path: str) -> None:
    async with site(job, web_host=EVERYWHERE) as client:
        ask = {"json": {}} if path.startswith("/api/") else {"data": {"csrf": "x"}, "headers": browser(client)}
        async with client.post(path, **ask) as answer:
            assert answer.status == 403
            assert "WATSON_WEB_TOKEN" in await answer.text()
        async with client.get("/jobs/j") as answer:
            page = await answer.text()
        assert "/jobs/j/cancel" not in page
        assert 'href="/submit"' not in page
        assert "Set-Cookie" not in answer.headers
    assert sent == []


# ------------------------------------------------------------------ with a token
async def log_in(client: ClientSession, token: str = TOKEN, path: str = "/login", **headers: str | None) -> Any:
    async with client.post(
        path, data={"token": token}, headers=browser(client, **headers), allow_redirects=False
    ) as answer:
        return answer.status, answer.headers, await answer.text()


@pytest.mark.parametrize("host", ["127.0.0.1", EVERYWHERE])
async def test_whoever_gave_the_token_changes_something_until_they_log_out(
    job: Scene, sent: list[Any], host: str
) -> None:
    async with site(job, web_token=TOKEN, web_host=host) as client:
        async with client.get("/jobs/j") as answer:
            assert "/jobs/j/cancel" not in await answer.text()
        assert (await log_in(client))[0] == 303
        assert (await send(client, "/jobs/j/cancel", to="/jobs/j/cancel")).status == 200
        assert len(sent) == 1
        ((_, _, fields), *_) = [form for form in await forms_of(client, "/jobs/j/cancel") if form[0] != "/logout"]
        kept = {cookie.key: cookie.value for cookie in client.cookie_jar}
        assert (await send(client, "/", to="/logout")).status == 303
        assert list(client.cookie_jar) == []
        # and who has a copy of the cookie has nothing
        headers = browser(client, Cookie="; ".join(f"{name}={value}" for name, value in kept.items()))
        async with client.post("/jobs/j/cancel", data=fields, headers=headers) as answer:
            assert answer.status == 403
    assert len(sent) == 1


async def test_the_cookie_is_kept_from_scripts_and_other_sites_and_does_not_hold_the_token(job: Scene) -> None:
    async with site(job, web_token=TOKEN) as client:
        _, headers, _ = await log_in(client)
        ((name, cookie),) = SimpleCookie(headers["Set-Cookie"]).items()
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert 0 < int(cookie["max-age"]) <= 86_400
        assert not cookie["secure"]
        assert TOKEN not in headers["Set-Cookie"]
        assert name.startswith("watson-")
        assert headers["Cache-Control"] == "private, no-store"
        _, headers, _ = await log_in(client, X_Forwarded_Proto="https")
        ((_, cookie),) = SimpleCookie(headers["Set-Cookie"]).items()
        assert cookie["secure"] is True


async def test_a_session_holds_on_every_worker_with_the_token_and_on_none_with_another(job: Scene, sent: list) -> None:
    async with (
        site(job, web_token=TOKEN) as one,
        site(job, web_token=TOKEN) as two,
        site(job, web_token=TOKEN + "!") as other,
    ):
        await log_in(one)
        ((_, _, fields), *_) = [form for form in await forms_of(one, "/jobs/j/cancel") if form[0] != "/logout"]
        cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in one.cookie_jar)
        for client, status in ((other, 403), (two, 200)):
            headers = browser(client, Cookie=cookie)
            async with client.post("/jobs/j/cancel", data=fields, headers=headers) as answer:
                assert answer.status == status
    assert len(sent) == 1


@pytest.mark.parametrize(
    "token", ["", " ", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f" {TOKEN}", "é" * 40, "\0", "x" * 100_000]
)
async def test_a_wrong_token_is_refused_and_no_session_begins(job: Scene, token: str) -> None:
    async with site(job, web_token=TOKEN) as client:
        status, headers, text = await log_in(client, token)
        assert (status, "Set-Cookie" in headers) == (403, False)
        assert "is not the token" in text


async def test_after_a_few_wrong_tokens_the_next_is_not_even_looked_at(job: Scene) -> None:
    async with site(job, web_token=TOKEN) as client:
        for _ in range(5):
            assert (await log_in(client, "wrong"))[0] == 403
        status, headers, text = await log_in(client)
        assert status == 429
        assert int(headers["Retry-After"]) >= 1
        assert "try again in" in text
        async with client.post("/api/v1/jobs/j/cancel", json={}, headers=bearer(TOKEN)) as answer:
            assert answer.status == 429


async def test_another_site_cannot_log_a_browser_in(job: Scene) -> None:
    async with site(job, web_token=TOKEN) as client:
        status, headers, _ = await log_in(client, Origin="http://evil.example", Sec_Fetch_Site="cross-site")
        assert (status, "Set-Cookie" in headers) == (403, False)


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/submit?model=a%40b", "/submit?model=a%40b"),
        ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/"), ("javascript:alert(1)", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"), ("", "/"), ("/" + "x" * 5000, "/"),
    ],
)  # fmt: skip
async def test_after_the_login_nobody_is_led_elsewhere(job: Scene, asked: str, led_to: str) -> None:
    ask = {"params": {"next": asked}, "data": {"token": TOKEN}, "allow_redirects": False}
    async with site(job, web_token=TOKEN) as client, client.post("/login", headers=browser(client), **ask) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, led_to)


async def test_where_no_token_is_set_none_is_taken(job: Scene) -> None:
    async with site(job) as client:
        status, headers, _ = await log_in(client, "")
        assert (status, "Set-Cookie" in headers) == (403, False)


# ------------------------------------------------------------------ programs
def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", API_ACTIONS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer(""), 403),
        (bearer("wrong"), 403),
        (bearer("é"), 403),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({**bearer(TOKEN), "Origin": "http://evil.example"}, 403),
        ({**bearer(TOKEN), "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_a_program_without_the_token_changes_nothing(
    job: Scene, sent: list[Any], path: str, headers: dict[str, str], status: int
) -> None:
    async with site(job, web_token=TOKEN) as client, client.post(path, json={}, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert sent == []


async def test_a_program_with_the_token_does_and_a_browsers_session_is_not_enough(job: Scene, sent: list[Any]) -> None:
    async with site(job, web_token=TOKEN) as client:
        await log_in(client)
        async with client.post("/api/v1/jobs/j/cancel", json={}) as answer:
            assert answer.status == 401
        async with client.post("/api/v1/jobs/j/cancel", json={}, headers=bearer(TOKEN)) as answer:
            assert answer.status == 200
    assert len(sent) == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_page_of_another_site_can_send_without_asking_is_no_json(
    job: Scene, sent: list[Any], kind: str
) -> None:
    ask = {"data": b"{}", "headers": {"Content-Type": kind}}
    async with site(job) as client, client.post("/api/v1/jobs/j/cancel", **ask) as answer:
        assert answer.status == 415
    assert sent == []


async def test_no_other_site_is_given_leave_to_ask(job: Scene) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with site(job) as client, client.options("/api/v1/jobs/j/cancel", headers=asked) as answer:
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


# ------------------------------------------------------------------ bodies
@pytest.mark.parametrize("told", [True, False])
async def test_a_body_beyond_the_limit_is_refused(job: Scene, sent: list[Any], *, told: bool) -> None:
    async def pieces() -> Any:
        yield b"{" + b" " * (MOST_BYTES + 1) + b"}"

    headers = {"Content-Type": "application/json"}
    async with site(job) as client:
        data = b"{" + b" " * MOST_BYTES + b"}" if told else pieces()
        async with client.post("/api/v1/jobs/j/cancel", data=data, headers=headers) as answer:
            assert answer.status == 413
            assert f"{MOST_BYTES:,} bytes" in (await answer.json())["error"]
        async with client.get("/api/v1/jobs") as answer:
            assert answer.status == 200
    assert sent == []


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"not json", {}, 400), (b"[]", {}, 400), (b"null", {}, 400), (b'"x"', {}, 400), (b"\xff", {}, 400),
        (b"[" * 100_000, {}, 400), (b'{"job": "k"}', {}, 400),
        (b"{}", {"Content-Encoding": "gzip"}, (400, 415)),
    ],
)  # fmt: skip
async def test_a_body_that_says_nothing_sensible_is_refused_with_the_reason(
    job: Scene, sent: list[Any], data: bytes, headers: dict[str, str], status: Any
) -> None:
    async with site(job) as client:
        sent_with = {"Content-Type": "application/json", **headers}
        async with client.post("/api/v1/jobs/j/cancel", data=data, headers=sent_with) as answer:
            assert answer.status in (status if isinstance(status, tuple) else (status,))
    assert sent == []


@pytest.mark.parametrize("data", [b"csrf=%ff", b"&".join(b"a=b" for _ in range(3001)), b"=", b"&&&", b"csrf"])
async def test_a_form_that_is_none_is_refused(job: Scene, sent: list[Any], data: bytes) -> None:
    async with site(job) as client:
        headers = browser(client, Content_Type="application/x-www-form-urlencoded")
        async with client.post("/jobs/j/cancel", data=data, headers=headers) as answer:
            assert answer.status in (400, 403)
    assert sent == []


async def test_looking_needs_no_cookie(job: Scene) -> None:
    async with site(job) as client:
        for path in ("/", "/jobs/j", "/datasets", "/models", "/api/v1/jobs", "/diff"):
            async with client.get(path) as answer:
                assert (answer.status, "Set-Cookie" in answer.headers) == (200, False), path
