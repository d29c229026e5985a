"""Signed sessions: what a browser's cookie says is believed by its signature; nothing is kept for each session.

So any worker with the same token knows the sessions that another one began, and a new token ends them all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

__all__ = ["SECONDS", "Session", "Sessions"]

SECONDS = 12 * 3600
"""A session's time."""

_MOST_COOKIE = 200  # characters
_MOST_ENDED = 10_000
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # 16 MB and 50 ms, once at the start: who has a cookie cannot guess fast


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's. ``cookie`` is what it has; ``expires`` in seconds since 1970."""

    cookie: str
    expires: int


class Sessions:
    """Begins sessions, and knows its own again."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.time) -> None:
        """Take the server's token; with None, sessions are known to this process alone."""
        said = secrets.token_bytes(32) if token is None else token.encode()
        self._key = hashlib.scrypt(said, salt=b"watson web session 1", dklen=32, **_SCRYPT)
        self._clock = clock
        self._ended: TTLCache[str, bool] = TTLCache(_MOST_ENDED, SECONDS, timer=clock)
        self.cookie_name = f"watson-{hashlib.sha256(self._key).hexdigest()[:8]}"
        """Servers on other ports of one machine share a browser's cookies: each has a name of its own."""

    def begin(self) -> Session:
        """A new session."""
        expires = int(self._clock()) + SECONDS
        said = f"{expires}.{secrets.token_urlsafe(16)}"
        return Session(f"{said}.{self._signature('session', said)}", expires)

    def read(self, cookie: str | None) -> Session | None:
        """The session that a cookie is of; None where it is forged, over, or was ended here."""
        if cookie is None or len(cookie) > _MOST_COOKIE or not cookie.isascii():
            return None
        said, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature, self._signature("session", said)):
            return None
        session = Session(cookie, int(said.partition(".")[0]))
        return session if session.expires > self._clock() and cookie not in self._ended else None

    def end(self, session: Session) -> None:
        """Forget a session: its cookie is worth nothing to this process any more, whoever has a copy."""
        self._ended[session.cookie] = True

    def csrf_token(self, session: Session) -> str:
        """What each form of this session carries: no other site can know it."""
        return self._signature("form", session.cookie)

    def is_csrf_token(self, session: Session, text: str) -> bool:
        """Whether a form is of this session."""
        return text.isascii() and hmac.compare_digest(text, self.csrf_token(session))

    def _signature(self, purpose: str, said: str) -> str:
        digest = hmac.digest(self._key, f"{purpose}\n{said}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
