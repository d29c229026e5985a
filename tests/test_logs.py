from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from watson.logs import configure_logging
from watson.settings import Settings


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("faust", "aiokafka", "botocore", "cassandra")}
    yield
    root.handlers[:] = before
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def configured(**settings: object) -> io.StringIO:
    out = io.StringIO()
    configure_logging(Settings(**{"log_format": "json", **settings}), out)  # type: ignore[arg-type]
    return out


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_entry_is_one_json_object_a_line() -> None:
    out = configured()
    structlog.get_logger("watson.agents.loop").info("worker ready", role="segment", partitions=4)
    (entry,) = lines(out)
    assert entry | {"timestamp": ""} == {
        "event": "worker ready",
        "role": "segment",
        "partitions": 4,
        "level": "info",
        "logger": "watson.agents.loop",
        "timestamp": "",
    }
    assert str(entry["timestamp"]).endswith("Z")


def test_console_lines_are_for_people_and_uncoloured_where_there_is_no_terminal() -> None:
    out = configured(log_format="console")
    structlog.get_logger("watson").warning("slow", seconds=3)
    assert "slow" in out.getvalue()
    assert "seconds=3" in out.getvalue()
    assert "\x1b[" not in out.getvalue()


def test_the_standard_library_goes_the_same_way() -> None:
    out = configured()
    logging.getLogger("somelibrary").error("could not %s in %d s", "connect", 3, extra={"attempt": 2})
    (entry,) = lines(out)
    assert (entry["event"], entry["level"], entry["attempt"]) == ("could not connect in 3 s", "error", 2)


def test_what_is_bound_for_a_message_is_on_every_line_a_librarys_included() -> None:
    out = configured()
    with structlog.contextvars.bound_contextvars(topic="segmented", partition=3, offset=17, job="j", image="i"):
        structlog.get_logger("watson").info("ours")
        logging.getLogger("aiokafka").warning("theirs")
    structlog.get_logger("watson").info("after")
    ours, theirs, after = lines(out)
    for entry in (ours, theirs):
        assert {name: entry[name] for name in ("topic", "partition", "offset", "job", "image")} == {
            "topic": "segmented", "partition": 3, "offset": 17, "job": "j", "image": "i",
        }  # fmt: skip
    assert "topic" not in after


async def test_tasks_do_not_see_each_others_context() -> None:
    out = configured()

    async def work(offset: int) -> None:
        with structlog.contextvars.bound_contextvars(offset=offset):
            await asyncio.sleep(0)
            structlog.get_logger("watson").info("worked", wanted=offset)

    await asyncio.gather(*(work(offset) for offset in range(10)))
    assert len(lines(out)) == 10
    assert all(entry["offset"] == entry["wanted"] for entry in lines(out))


@pytest.mark.parametrize("name", ["faust", "faust.app", "mode", "aiokafka.consumer.fetcher", "cassandra.cluster"])
def test_a_librarys_chatter_is_heard_from_warning_on(name: str) -> None:
    out = configured()
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("trouble")
    assert [entry["event"] for entry in lines(out)] == ["trouble"]


def test_at_debug_libraries_are_heard_but_never_the_request_signatures_of_botocore() -> None:
    out = configured(log_level="DEBUG")
    logging.getLogger("aiokafka").debug("chatter")
    logging.getLogger("botocore.auth").debug("StringToSign: …")
    assert [entry["event"] for entry in lines(out)] == ["chatter"]


def test_at_error_warnings_are_not_heard() -> None:
    out = configured(log_level="ERROR")
    logging.getLogger("aiokafka").warning("chatter")
    structlog.get_logger("watson").warning("slow")
    structlog.get_logger("watson").error("broken")
    assert [entry["event"] for entry in lines(out)] == ["broken"]


def test_an_exception_is_told_with_its_traceback() -> None:
    out = configured()
    try:
        int("no number")
    except ValueError:
        structlog.get_logger("watson").exception("failed", offset=1)
    (entry,) = lines(out)
    assert entry["level"] == "error"
    assert "Traceback" in str(entry["exception"])
    assert "ValueError: invalid literal" in str(entry["exception"])


FORGED = "x\n2026-01-01 [info] all is well\r\x1b[2J\x1b]0;title\x07\x9b31m\u202e"


def test_no_text_of_a_strangers_begins_a_line_of_its_own_or_moves_the_cursor() -> None:
    out = configured(log_format="console")
    logging.getLogger("aiohttp").warning("answered %s", FORGED)
    structlog.get_logger("watson").warning("request failed", path=FORGED, uri="plain")
    try:
        raise ValueError(FORGED)  # noqa: TRY301 - to be told
    except ValueError:
        structlog.get_logger("watson").exception("failed")
    text = out.getvalue()
    assert all(c.isprintable() or c in "\n\t" for c in text)
    logged, requested, failed, *_traceback = text.splitlines()
    assert r"answered x\n2026-01-01" in logged
    assert "request failed" in requested
    assert "failed" in failed
    assert "uri=plain" in requested


def test_json_keeps_what_was_said_letter_by_letter_in_one_line() -> None:
    out = configured()
    logging.getLogger("aiohttp").warning("answered %s", FORGED)
    (entry,) = lines(out)
    assert entry["event"] == f"answered {FORGED}"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_of_the_settings_are_never_written(log_format: str) -> None:
    secret, password = 'abc"123\\x', "hunter2-hunter2"
    out = configured(log_format=log_format, s3_secret_key=secret, cassandra_password=password)
    log = structlog.get_logger("watson")
    log.info("connecting", how={"nested": [password, secret]}, line=f"with {password}")
    logging.getLogger("cassandra").warning("bad credentials %r", {"user": "u", "with": password})
    try:
        int(password)  # its message quotes what it could not read
    except ValueError:
        log.exception("failed")
    assert out.getvalue().count("***") >= 4
    assert password not in out.getvalue()
    assert secret not in out.getvalue()
    assert json.dumps(secret)[1:-1] not in out.getvalue()
    assert repr(secret)[1:-1] not in out.getvalue()


def test_a_secret_of_a_letter_or_two_does_not_make_lines_unreadable() -> None:
    out = configured(log_format="console", s3_access_key="a", s3_secret_key="b")
    structlog.get_logger("watson").info("a bad batch")
    assert "a bad batch" in out.getvalue()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cassandra://watson:s3cr3t@db:9042/photos", "s3cr3t"),
        ("GET https://b.s3/x?X-Amz-Signature=deadbeef&X-Amz-Date=1", "deadbeef"),
        ("GET https://b.s3/x?X-Amz-Credential=AKIAXX%2F2026&y=1", "AKIAXX"),
        ("{'Authorization': 'AWS4-HMAC-SHA256 Credential=AKIAYY/x, Signature=cafe'}", "cafe"),
        ("Authorization: Bearer tok-123", "tok-123"),
    ],
)
def test_secrets_are_taken_out_of_texts(text: str, secret: str) -> None:
    out = configured()
    logging.getLogger("somelibrary").error(text)
    assert secret not in out.getvalue()
    assert "***" in out.getvalue()


def test_values_of_keys_that_name_a_secret_are_hidden() -> None:
    out = configured()
    structlog.get_logger("watson").info("x", password="p1", aws_secret_access_key="p2", session_token="p3", user="u")
    (entry,) = lines(out)
    assert (entry["password"], entry["aws_secret_access_key"], entry["session_token"]) == ("***", "***", "***")
    assert entry["user"] == "u"


def test_an_ordinary_url_is_left_as_it_is() -> None:
    out = configured()
    structlog.get_logger("watson").info("x", uri="s3://photos/a@b:c/d.jpg", at="kafka://127.0.0.1:9092")
    (entry,) = lines(out)
    assert (entry["uri"], entry["at"]) == ("s3://photos/a@b:c/d.jpg", "kafka://127.0.0.1:9092")


def test_configuring_again_does_not_say_everything_twice() -> None:
    configured()
    out = configured()
    structlog.get_logger("watson").info("once")
    logging.getLogger("somelibrary").error("once")
    assert len(lines(out)) == 2


def test_what_json_cannot_hold_is_written_as_its_repr() -> None:
    out = configured()
    structlog.get_logger("watson").info("x", value=b"\xff", error=ValueError("v"), 数={1: {2}})
    (entry,) = lines(out)
    assert entry["error"] == "ValueError('v')"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_text_that_is_not_unicode_is_written_all_the_same(log_format: str) -> None:
    out = configured(log_format=log_format)
    structlog.get_logger("watson").warning("trying again", why="404 \udcff \ud800", attempt=2)
    assert out.getvalue().encode()
    assert "trying again" in out.getvalue()
    assert r"404 \udcff \ud800" in out.getvalue()
