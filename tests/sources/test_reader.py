from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.sources.conftest import Put
from watson.errors import ReasonCode, Refused, Retriable
from watson.settings import Settings
from watson.sources import Reader


async def refusal(uri: str, settings: Settings | None = None, limit: int = 1000) -> Refused:
    async with Reader(settings or Settings()) as reader:
        with pytest.raises(Refused) as caught:
            await reader.read(uri, limit)
    return caught.value


async def test_a_file_is_read_by_path_and_by_uri(tmp_path: Path) -> None:
    path = tmp_path / "ä %20.jpg"
    path.write_bytes(b"picture")
    async with Reader(Settings()) as reader:
        assert await reader.read(str(path), 7) == b"picture"
        assert await reader.read(path.as_uri(), 7) == b"picture"


async def test_an_empty_file_is_read_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    async with Reader(Settings()) as reader:
        assert await reader.read(str(tmp_path / "x"), 0) == b""


async def test_a_file_over_the_limit_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    refused = await refusal(str(tmp_path / "x"), limit=4)
    assert refused.code is ReasonCode.TOO_LARGE
    assert "5 bytes, more than 4" in str(refused)


async def test_what_is_no_readable_file_is_refused_with_the_right_code(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    expected = {
        "missing": ReasonCode.OBJECT_MISSING,
        "file/below": ReasonCode.OBJECT_MISSING,
        "pipe": ReasonCode.SOURCE_INVALID,
        ".": ReasonCode.SOURCE_INVALID,
        "loop": ReasonCode.SOURCE_INVALID,
        "n" * 300: ReasonCode.SOURCE_INVALID,
    }
    for name, code in expected.items():
        refused = await refusal(f"{tmp_path}/{name}")
        assert refused.code is code, name
        assert str(tmp_path) in str(refused)


@pytest.mark.parametrize(
    "uri", ["", "x.jpg", "ftp://x/y", "https:///y", "s3://bucket", "file://host/x", "unreadable:line is not JSON: x"]
)
async def test_other_uris_are_source_invalid(uri: str) -> None:
    assert (await refusal(uri)).code is ReasonCode.SOURCE_INVALID


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (13, Refused, ReasonCode.ACCESS_DENIED),
        (5, Retriable, ReasonCode.STORE_UNAVAILABLE),
        (24, Retriable, ReasonCode.STORE_UNAVAILABLE),
        (116, Retriable, ReasonCode.STORE_UNAVAILABLE),
    ],
)
async def test_errors_of_the_system_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Refused | Retriable], code: ReasonCode
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    async with Reader(Settings()) as reader:
        with pytest.raises(kind, match=os.strerror(number)) as caught:
            await reader.read("/a/b", 9)
    assert caught.value.code is code


@pytest.mark.services
class TestS3:
    async def test_objects_are_read_side_by_side_through_one_client(
        self, settings: Settings, bucket: str, put: Put
    ) -> None:
        await put({f"k/{n}": str(n).encode() * 1000 for n in range(20)})
        async with Reader(settings) as reader:
            found = await asyncio.gather(*(reader.read(f"s3://{bucket}/k/{n}", 2000) for n in range(20)))
        assert found == [str(n).encode() * 1000 for n in range(20)]

    async def test_what_cannot_be_read_is_refused_with_the_right_code(
        self, settings: Settings, bucket: str, put: Put
    ) -> None:
        await put({"k": b"12345"})
        missing = await refusal(f"s3://{bucket}/no", settings)
        assert missing.code is ReasonCode.OBJECT_MISSING
        nowhere = await refusal(f"s3://no-{bucket}/k", settings)
        assert nowhere.code is ReasonCode.OBJECT_MISSING
        assert f"bucket 'no-{bucket}' does not exist" in str(nowhere)
        assert (await refusal(f"s3://{bucket}/k", settings, limit=4)).code is ReasonCode.TOO_LARGE
        assert (await refusal("s3://not a bucket!/k", settings)).code is ReasonCode.SOURCE_INVALID
        wrong = Settings(s3_endpoint=settings.s3_endpoint, s3_access_key="wrong", s3_secret_key="wrong")
        assert (await refusal(f"s3://{bucket}/k", wrong)).code is ReasonCode.ACCESS_DENIED

    async def test_keys_that_are_missing_altogether_are_access_denied_with_what_to_set(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        refused = await refusal("s3://bucket/k", Settings(s3_endpoint="http://127.0.0.1:1"))
        assert refused.code is ReasonCode.ACCESS_DENIED
        assert "WATSON_S3_ACCESS_KEY" in str(refused)


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        ("503 Slow Down", "SlowDown", Retriable, ReasonCode.STORE_UNAVAILABLE),
        ("500 Internal Server Error", "InternalError", Retriable, ReasonCode.STORE_UNAVAILABLE),
        ("429 Too Many Requests", "TooManyRequests", Retriable, ReasonCode.STORE_UNAVAILABLE),
        ("400 Bad Request", "RequestTimeout", Retriable, ReasonCode.STORE_UNAVAILABLE),
        ("400 Bad Request", "ExpiredToken", Refused, ReasonCode.ACCESS_DENIED),
        ("400 Bad Request", "KeyTooLongError", Refused, ReasonCode.SOURCE_INVALID),
        ("403 Forbidden", "InvalidObjectState", Refused, ReasonCode.ACCESS_DENIED),
    ],
)
async def test_answers_of_a_server_are_told_apart_by_what_may_pass(
    status: str, code: str, kind: type[Refused | Retriable], reason: ReasonCode
) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said so</Message></Error>".encode()
    await _expect(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, kind, reason, "said so")


async def test_an_object_cut_off_in_the_middle_is_a_passing_cause() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "x"\r\n\r\nhalf of it'
    await _expect(answer, Retriable, ReasonCode.STORE_UNAVAILABLE, "s3://bucket/k")


async def _expect(answer: bytes, kind: type[Refused | Retriable], reason: ReasonCode, said: str) -> None:
    """A server on a socket that always gives the same answer, to see what the reader makes of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = Settings(s3_endpoint=f"http://127.0.0.1:{port}", s3_access_key="k", s3_secret_key="s", s3_attempts=1)
        async with Reader(settings) as reader:
            with pytest.raises(kind, match=said) as caught:
                await reader.read("s3://bucket/k", 1000)
    assert caught.value.code is reason
