"""One pooled S3 client, and what its errors mean to Watson. Shared by the object store and the S3 sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aioboto3
from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.settings import Settings

__all__ = ["BucketMissing", "S3Connection", "S3Object"]

# Codes that S3 servers send with a status that by itself would say something else.
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "InternalError", "OperationAborted", "Throttling"})
_DENIED_CODES = frozenset(
    {"AccessDenied", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
_PASSING_STATUSES = frozenset({408, 412, 425, 429})


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object of a listing. ``size`` in bytes."""

    key: str
    size: int
    etag: str


class BucketMissing(Refused):
    """There is no such bucket. Its own class, as a listing or a store takes it more seriously than a picture does."""

    def __init__(self, bucket: str, endpoint: str) -> None:
        super().__init__(ReasonCode.OBJECT_MISSING, f"bucket {bucket!r} does not exist at {endpoint}")


class S3Connection:
    """A client with its pool of connections, from `open` until `close`; an async context manager too.

    Every request has time-outs and is tried ``s3_attempts`` times by the client, with its backoff; every operation as
    a whole ends within ``attempt_timeout``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resources = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self.endpoint = settings.s3_endpoint or f"AWS, region {settings.s3_region}"

    async def open(self) -> None:
        """Make the client. It connects with the first request; reading S3's service model takes about 0.2 s, once."""
        async with self._opening:  # readers side by side may be the first
            if self._client is None:
                self._client = await self._make_client()

    async def close(self) -> None:
        """Close the pool."""
        self._client = None
        await self._resources.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, operation: str, bucket: str, **arguments: Any) -> Mapping[str, Any]:
        """Call ``operation`` (``head_object``, …) of the client on a bucket.

        Raises:
            Refused: see `get`; and ``SOURCE_INVALID`` for names that S3 does not allow.
            Retriable: ``STORE_UNAVAILABLE``.
        """
        async with self._errors(bucket, arguments.get("Key")):
            answer: Mapping[str, Any] = await getattr(self._opened, operation)(Bucket=bucket, **arguments)
            return answer

    async def get(self, bucket: str, key: str, limit: int | None = None, **arguments: Any) -> bytes:
        """An object's bytes, or those of the ``Range`` among the arguments.

        Raises:
            Refused: ``OBJECT_MISSING``; ``ACCESS_DENIED``; ``TOO_LARGE`` where there are more than ``limit`` bytes,
                which are then not transferred.
            Retriable: ``STORE_UNAVAILABLE``: time-out, throttling, 5xx, connection lost in the middle.
        """
        async with self._errors(bucket, key):
            answer = await self._opened.get_object(Bucket=bucket, Key=key, **arguments)
            async with answer["Body"] as body:
                size = answer["ContentLength"]
                if limit is not None and size > limit:
                    why = f"s3://{bucket}/{key} has {size} bytes, more than {limit}"
                    raise Refused(ReasonCode.TOO_LARGE, why)
                data: bytes = await body.read()
                return data

    async def pages(
        self, bucket: str, prefix: str, after: str = "", page_size: int = 1000
    ) -> AsyncIterator[list[S3Object]]:
        """Objects under ``prefix`` by the UTF-8 bytes of their keys, from the first key after ``after`` on.

        Each page is asked for by the last key of the one before, never by a server's token: so any key is a place to
        go on from, at any time. (S3's "directory buckets", which do not sort, cannot be listed so.)
        """
        while True:
            start = {"StartAfter": after} if after else {}
            answer = await self.call("list_objects_v2", bucket, Prefix=prefix, MaxKeys=page_size, **start)
            page = [S3Object(o["Key"], o["Size"], o["ETag"].strip('"')) for o in answer.get("Contents", ())]
            if page:
                yield page
                after = page[-1].key
            if not answer.get("IsTruncated"):
                return
            if not page:
                why = f"s3://{bucket} at {self.endpoint}: an empty page of a listing that is said to go on"
                raise Retriable(why, ReasonCode.STORE_UNAVAILABLE)

    async def ensure_bucket(self, bucket: str) -> None:
        """Make the bucket where it is missing."""
        try:
            await self.call("list_objects_v2", bucket, MaxKeys=1)
        except BucketMissing:
            region = self._settings.s3_region
            # us-east-1 is S3's default, and the one region that may not be named here.
            place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            try:
                await self.call("create_bucket", bucket, **place)
            except Refused as exc:
                if "BucketAlreadyOwnedByYou" not in str(exc):  # someone was faster
                    raise

    async def _make_client(self) -> Any:
        settings = self._settings
        access, secret = settings.s3_access_key, settings.s3_secret_key
        try:
            return await self._resources.enter_async_context(
                aioboto3.Session().client(
                    "s3",
                    endpoint_url=settings.s3_endpoint,
                    region_name=settings.s3_region,
                    aws_access_key_id=access.get_secret_value() if access else None,
                    aws_secret_access_key=secret.get_secret_value() if secret else None,
                    config=_config(settings),
                )
            )
        except (BotoCoreError, ValueError) as exc:
            raise UserError(f"S3 client: {exc}; see WATSON_S3_ENDPOINT, WATSON_S3_REGION and the AWS profile") from exc

    @property
    def _opened(self) -> Any:
        if self._client is None:
            raise RuntimeError("S3Connection is used before open() or after close()")
        return self._client

    @asynccontextmanager
    async def _errors(self, bucket: str, key: str | None) -> AsyncIterator[None]:
        place = f"s3://{bucket}" + ("" if key is None else f"/{key}")
        try:
            async with asyncio.timeout(self._settings.attempt_timeout):
                yield
        except ClientError as exc:
            raise self._meaning(exc, bucket, place) from exc
        except (NoCredentialsError, PartialCredentialsError) as exc:
            why = f"{place}: {exc}; set WATSON_S3_ACCESS_KEY and WATSON_S3_SECRET_KEY, or an AWS profile or role"
            raise Refused(ReasonCode.ACCESS_DENIED, why) from exc
        except ParamValidationError as exc:
            raise Refused(ReasonCode.SOURCE_INVALID, f"{place}: {exc}") from exc
        except (BotoCoreError, HttpError, TimeoutError, OSError) as exc:
            why = f"{place} at {self.endpoint}: {str(exc) or type(exc).__name__}"
            raise Retriable(why, ReasonCode.STORE_UNAVAILABLE) from exc

    def _meaning(self, exc: ClientError, bucket: str, place: str) -> Refused | Retriable:
        error = exc.response.get("Error", {})
        code = str(error.get("Code", ""))
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said = f"{place} at {self.endpoint}: {status} {code} {error.get('Message', '')}".rstrip()
        if code == "NoSuchBucket":
            return BucketMissing(bucket, self.endpoint)
        if code in _PASSING_CODES or status in _PASSING_STATUSES or status >= 500:
            return Retriable(said, ReasonCode.STORE_UNAVAILABLE)
        if code in _DENIED_CODES or status in {401, 403}:
            return Refused(ReasonCode.ACCESS_DENIED, said)
        if status == 404:
            return Refused(ReasonCode.OBJECT_MISSING, said)
        return Refused(ReasonCode.SOURCE_INVALID, said)


def _config(settings: Settings) -> AioConfig:
    return AioConfig(
        max_pool_connections=settings.s3_connections,
        connect_timeout=settings.s3_connect_timeout,
        read_timeout=settings.s3_read_timeout,
        retries={"mode": "standard", "total_max_attempts": settings.s3_attempts},
        # Names of buckets as host names need DNS of one's own: with an endpoint given, S3 servers expect paths.
        s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
        # botocore's newer default adds checksum trailers that other S3 servers refuse or mishandle. What matters is
        # checked anyway: Watson's objects carry their sha256 in their event.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
