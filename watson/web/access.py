"""Who may change something, and how each change is checked. docs/decisions/0018 says why it is so.

* No token set: whoever is on this machine, where the server listens on the loopback address alone. Elsewhere nobody.
* A token set (``WATSON_WEB_TOKEN``): whoever gave it on the login page, or sends it with each request to the API.

Every form carries a secret of its session besides, and comes from a page of this very server.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256

from aiohttp import web

from watson.settings import Settings
from watson.web.bodies import Form, read_form, read_json
from watson.web.guard import Handler
from watson.web.loopback import comes_from_here, is_loopback
from watson.web.origins import check_origin
from watson.web.sessions import SECONDS, Session, Sessions
from watson.web.tries import Tries
from watson.web.visitor import Visitor, come

__all__ = ["Access", "DocumentHandler", "FormHandler"]

FormHandler = Callable[[web.Request, Form], Awaitable[web.StreamResponse]]
DocumentHandler = Callable[[web.Request, object], Awaitable[web.StreamResponse]]

_RENEW_SECONDS = SECONDS / 2

_READ_ONLY = (
    "This server only shows: it listens on {host}, where others reach it, and no token is set. Set WATSON_WEB_TOKEN "
    "for the web workers and log in, or use the command watson."
)
_NOT_FROM_HERE = (
    "This server has no token, so it is changed only from its own machine by its own name: open "
    "http://127.0.0.1:{port}/ there. For all others, set WATSON_WEB_TOKEN for the web workers and log in."
)
_LOG_IN = "Log in first: whoever changes something here gives the token (WATSON_WEB_TOKEN) once, at /login."
_OLD_FORM = "This form is not of your session, or is too old: load its page again and send it from there."
_BEARER = "Send the header Authorization: Bearer TOKEN, with the token of the web workers (WATSON_WEB_TOKEN)."


class Access:
    """The rules of one server."""

    def __init__(self, settings: Settings) -> None:
        token = settings.web_token.get_secret_value() if settings.web_token is not None else None
        self._settings = settings
        self._token = None if token is None else sha256(token.encode()).digest()
        self._sessions = Sessions(token)
        self._tries = Tries()

    @property
    def takes_token(self) -> bool:
        """Whether there is a token to give."""
        return self._token is not None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks, before any handler runs, and give browsers their session's cookie with a form."""
        session = self._session(request)
        begun: list[Session] = []

        def csrf_token() -> str:
            current = session
            if current is None or self._is_old(current):
                begun[:] = begun or [self._sessions.begin()]
                current = begun[0]
            return self._sessions.csrf_token(current)

        why_not = self._why_not(request, session)
        come(
            Visitor(
                may_change=not why_not,
                why_not=why_not,
                can_log_in=self.takes_token and session is None,
                can_log_out=self.takes_token and session is not None,
                csrf_token=csrf_token,
            )
        )
        response = await handler(request)
        if begun and not response.prepared:
            self.set_cookie(request, response, begun[0])
        return response

    def form(self, handler: FormHandler) -> Handler:
        """A handler of forms that change something: it is called once all is seen to be right.

        The wrapped handler raises 401 or 403 where the sender may not, 403 where another site sent it, 413 and 415
        where the body is not a form.
        """

        async def checked(request: web.Request) -> web.StreamResponse:
            session = self._session(request)
            if why_not := self._why_not(request, session):
                raise web.HTTPForbidden(text=why_not)
            check_origin(request)
            fields = await read_form(request)
            if session is None or not self._sessions.is_csrf_token(session, fields.get("csrf", "")):
                raise web.HTTPForbidden(text=_OLD_FORM)
            return await handler(request, fields)

        return checked

    def document(self, handler: DocumentHandler) -> Handler:
        """A handler of JSON documents that change something, for programs: a browser's session counts for nothing."""

        async def checked(request: web.Request) -> web.StreamResponse:
            check_origin(request, program=True)
            if self.takes_token:
                self._check_bearer(request)
            elif why_not := self._why_not(request, None):
                raise web.HTTPForbidden(text=why_not)
            return await handler(request, await read_json(request))

        return checked

    async def log_in(self, request: web.Request) -> Session:
        """Take the token that a login form brings; returns the session that begins with it.

        Raises:
            HTTPException: 403 where it is wrong, no token is taken, or another site sent it; 429 after too many.
        """
        if not self.takes_token:
            raise web.HTTPForbidden(text=self._why_not(request, None) or "This server takes no token, and needs none.")
        check_origin(request)
        fields = await read_form(request)
        self._check_token(request, fields.get("token", ""))
        return self._sessions.begin()

    def set_cookie(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """Give a browser its session. No script reads the cookie, and no other site makes the browser send it."""
        response.set_cookie(
            self._sessions.cookie_name,
            session.cookie,
            path="/",
            max_age=SECONDS,
            httponly=True,
            samesite="Strict",
            secure=request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https",
        )
        response.headers["Cache-Control"] = "private, no-store"

    def log_out(self, request: web.Request, response: web.StreamResponse) -> None:
        """End the session of who asks."""
        if (session := self._session(request)) is not None:
            self._sessions.end(session)
        response.del_cookie(self._sessions.cookie_name, path="/")

    def _is_old(self, session: Session) -> bool:
        """Whether a session that nobody logged in for is to be followed by another: its forms would soon be too old."""
        return not self.takes_token and session.expires - time.time() < _RENEW_SECONDS

    def _session(self, request: web.Request) -> Session | None:
        return self._sessions.read(request.cookies.get(self._sessions.cookie_name))

    def _why_not(self, request: web.Request, session: Session | None) -> str:
        """Why this visitor may change nothing; empty where they may."""
        if self.takes_token:
            return "" if session is not None else _LOG_IN
        if not is_loopback(self._settings.web_host):
            return _READ_ONLY.format(host=self._settings.web_host)
        return "" if comes_from_here(request) else _NOT_FROM_HERE.format(port=self._settings.web_port)

    def _check_bearer(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise web.HTTPUnauthorized(text=_BEARER, headers={"WWW-Authenticate": "Bearer"})
        self._check_token(request, token.strip())

    def _check_token(self, request: web.Request, given: str) -> None:
        if wait := self._tries.wait(request.remote):
            raise web.HTTPTooManyRequests(
                text=f"Too many wrong tokens came from your address: try again in {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        # By their hashes: the comparison takes as long whatever the token, also for one of another length.
        if not hmac.compare_digest(sha256(given.encode(errors="surrogateescape")).digest(), self._token or b""):
            self._tries.failed(request.remote)
            raise web.HTTPForbidden(text="That is not the token of this server (WATSON_WEB_TOKEN of the web workers).")
        self._tries.succeeded(request.remote)
