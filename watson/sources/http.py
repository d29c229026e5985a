"""Pictures by http and https.

Off unless ``WATSON_HTTP_SOURCES`` says otherwise: whoever can submit a list could else make the workers ask any server
anything. Only ``GET``, without cookies, credentials or a proxy. Redirects are followed by hand, each address checked
like the first one.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
from yarl import URL

from watson import __version__
from watson.errors import ReasonCode, Refused, Retriable
from watson.settings import Settings
from watson.sources.http_uris import http_url
from watson.sources.public_addresses import PublicConnector, networks_of

__all__ = ["HttpReader"]

_MOST_REDIRECTS = 3
_CHUNK = 1 << 18
_CONNECTIONS_PER_HOST = 8
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = frozenset({404, 410})
_DENIED = frozenset({401, 402, 403, 407, 451})
_PASSING = frozenset({408, 425, 429})
_SCHEME = re.compile(r"(https?)://", re.IGNORECASE)
_HEADERS = {"User-Agent": f"watson/{__version__}", "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}


class HttpReader:
    """Fetches pictures. The session is made with the first one."""

    def __init__(self, settings: Settings, resolver: aiohttp.abc.AbstractResolver | None = None) -> None:
        """Take the settings, and what resolves names (None: the system's)."""
        self._settings = settings
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def read(self, url: str, limit: int) -> bytes:
        """All bytes of the answer.

        Args:
            url: canonical (`watson.sources.http_uris`).
            limit: most bytes; no more than that is read.

        Raises:
            Refused: ``ACCESS_DENIED``: switched off, not a public address, or the server says so; ``OBJECT_MISSING``;
                ``TOO_LARGE``; ``SOURCE_INVALID``: too many redirects, or one that leads to no address.
            Retriable: ``STORE_UNAVAILABLE``: no such host, no connection, a time-out, a 5xx, an answer cut off.
        """
        if not self._settings.http_sources:
            why = f"{url[:500]}: pictures are not fetched by http here; WATSON_HTTP_SOURCES=true allows it"
            raise Refused(ReasonCode.ACCESS_DENIED, why)
        try:
            async with asyncio.timeout(self._settings.http_timeout):
                return await self._follow(url, limit)
        except ValueError as exc:  # of yarl, or of the encoding of a host name; aiohttp.InvalidURL is one too
            raise Refused(
                ReasonCode.SOURCE_INVALID, f"{url[:500]}: no address that can be asked ({exc})"[:1000]
            ) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            why = f"{url[:500]}: {str(exc)[:500] or type(exc).__name__}"
            raise Retriable(why, ReasonCode.STORE_UNAVAILABLE) from exc

    async def _follow(self, url: str, limit: int) -> bytes:
        asked = url
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._open.get(URL(asked, encoded=True), allow_redirects=False) as answer:
                if answer.status not in _REDIRECTS:
                    _check(answer, asked)
                    return await _body(answer, asked, limit)
                asked = _target(asked, answer.headers.get("Location", ""))
        raise Refused(ReasonCode.SOURCE_INVALID, f"{url[:500]}: more than {_MOST_REDIRECTS} redirects")

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                connector=PublicConnector(
                    networks_of(settings.http_networks),
                    resolver=self._resolver,
                    limit=settings.s3_connections,
                    limit_per_host=_CONNECTIONS_PER_HOST,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,  # what is small on the wire may be anything when it is unpacked
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=settings.http_timeout),
            )
        return self._session


def _check(answer: aiohttp.ClientResponse, url: str) -> None:
    """Raises unless the answer is a picture's bytes, for all that its head says."""
    status, said = answer.status, f"{url[:500]}: {answer.status} {(answer.reason or '')[:100]}".rstrip()
    if status == 200:
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(ReasonCode.SOURCE_INVALID, f"{said}: answers in a compressed form that was not asked for")
        return
    if status in _PASSING or status >= 500:
        raise Retriable(said, ReasonCode.STORE_UNAVAILABLE)
    if status in _MISSING:
        raise Refused(ReasonCode.OBJECT_MISSING, said)
    raise Refused(ReasonCode.ACCESS_DENIED if status in _DENIED else ReasonCode.SOURCE_INVALID, said)


async def _body(answer: aiohttp.ClientResponse, url: str, limit: int) -> bytes:
    stated: Any = answer.content_length
    if stated is not None and stated > limit:
        raise Refused(ReasonCode.TOO_LARGE, f"{url[:500]} has {stated} bytes, more than {limit}")
    data = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise Refused(ReasonCode.TOO_LARGE, f"{url[:500]} has more than {limit} bytes")
    return bytes(data)


def _target(url: str, location: str) -> str:
    try:
        joined = str(URL(url, encoded=True).join(URL(location, encoded=True)))
    except ValueError:
        joined = ""
    scheme = _SCHEME.match(joined)
    if not location or scheme is None:
        raise Refused(ReasonCode.SOURCE_INVALID, f"{url[:500]}: a redirect to {location[:200]!r}, which is no address")
    target = http_url(scheme[1], joined[scheme.end() :])
    if url.startswith("https:") and not target.startswith("https:"):
        raise Refused(ReasonCode.SOURCE_INVALID, f"{url[:500]}: a redirect from https to {target[:200]!r}")
    return target
