"""Logging: structlog for Watson's own; the libraries' (Faust, aiokafka, Cassandra's driver) goes the same way.

One line an entry on standard error, for people (``console``) or machines (``json``). What an entry is about (job,
image, event_id, topic, partition, offset) is bound once a message by `structlog.contextvars` and is on every line that
is written meanwhile, a library's included.

Secrets never reach the output: values of keys that name one, passwords in URLs, signatures of signed URLs, and the
settings' own secrets wherever they turn up, also in an exception's text.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import orjson
import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from watson.settings import Settings

__all__ = ["configure_logging", "printable", "redacting"]

HIDDEN = "***"
_SHORTEST_SECRET = 4
"""Characters. A shorter value hides nothing and, replaced wherever it stands, would leave no line readable."""

_SECRET_KEYS = re.compile(r"(passw|secret|token|authorization|credential|access_key|signature)", re.IGNORECASE)

_SECRET_TEXT = (
    (re.compile(r"(?<=://)[^/\s:@\"']*:[^/\s@\"']+(?=@)"), HIDDEN),  # user:password of a URL
    (re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+"), r"\1" + HIDDEN),
    (re.compile(r"(?i)(Authorization['\"]?[:=]\s*['\"]?)(?:[A-Za-z0-9-]+ )?[^\r\n\"']+"), r"\1" + HIDDEN),
)

_TEXTS = {"event": "", "exception": "\n\t", "stack": "\n\t"}
"""Parts of an entry that are written as they are, and the control characters that they may have."""

# What each library has to say below WARNING is of use to those who debug it alone. The last ones write requests with
# their signatures at DEBUG, so they stay quiet even then.
_CHATTER = ("faust", "mode", "aiokafka", "kafka", "cassandra", "aiohttp", "asyncio", "PIL", "urllib3", "rocksdict")
_NEVER_DEBUG = ("botocore", "aiobotocore", "boto3", "aioboto3")

_own: logging.Handler | None = None


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Route all logging of the process to one handler; called once at the edge, again where the settings change.

    Args:
        settings: ``log_format`` and ``log_level``; its secrets are kept out of the output.
        stream: standard error where None.
    """
    out = stream or sys.stderr
    shared = _shared()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # so that a module's logger follows a later configuration
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _hide_keys,
                *([_flatten] if settings.log_format == "console" else []),  # JSON has escapes of its own
                redacting(_renderer(settings, colours=out.isatty()), _secrets_of(settings)),
            ],
        )
    )
    _install(handler, settings.log_level)


def redacting(renderer: Processor, secrets: Iterable[str]) -> Processor:
    """Return a renderer whose lines hold no secrets.

    Args:
        renderer: makes a line of an entry.
        secrets: literal values to hide: as they are, as JSON and as Python's `repr` write them.
    """
    known = [secret for secret in secrets if secret]
    literal = {*known, *(orjson.dumps(secret).decode()[1:-1] for secret in known), *(repr(x)[1:-1] for x in known)}
    longest_first = sorted(literal, key=len, reverse=True)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        line = str(renderer(logger, method, event))
        for secret in longest_first:
            line = line.replace(secret, HIDDEN)
        for pattern, replacement in _SECRET_TEXT:
            line = pattern.sub(replacement, line)
        return line

    return render


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]


def _renderer(settings: Settings, *, colours: bool) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_dumps)
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)


def _dumps(value: EventDict, **_: Any) -> str:
    try:
        return _as_json(value)
    except TypeError:  # an exception's text, a file's name: Python decodes bytes that are not UTF-8 to lone surrogates
        text = json.dumps(value, default=repr, ensure_ascii=False, skipkeys=True)
        return text.encode("utf-8", "backslashreplace").decode()  # which are escapes of JSON's


def _as_json(value: EventDict) -> str:
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def _hide_keys(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: HIDDEN if _SECRET_KEYS.search(str(key)) else value for key, value in event.items()}


def printable(text: str, kept: str = "") -> str:
    """The text with all that moves a cursor, or cannot be seen, as an escape: names come from other people's buckets.

    Args:
        text: any.
        kept: control characters that are to stay.
    """
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def _flatten(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No text of a stranger's begins a line of its own or moves the cursor; values are quoted by the renderer already.

    What a library says may hold a host's answer, and an exception the name of a file.
    """
    flat = dict(event)
    for key, kept in _TEXTS.items():
        if isinstance(text := flat.get(key), str) and not text.isprintable():
            flat[key] = printable(text, kept)
    return flat


def _secrets_of(settings: Settings) -> list[str]:
    values = (getattr(settings, name) for name in type(settings).model_fields)
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    return [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]


def _install(handler: logging.Handler, level: str) -> None:
    global _own  # noqa: PLW0603 - the process has one root logger, and so one handler of ours on it
    root = logging.getLogger()
    for old in list(root.handlers):
        # another's handler that is there already would say everything twice; a test's capture is left alone
        if old is _own or type(old) is logging.StreamHandler:
            root.removeHandler(old)
    root.addHandler(handler)
    _own = handler
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    quiet = logging.NOTSET if level == "DEBUG" else max(logging.WARNING, logging.getLevelNamesMapping()[level])
    for name in _CHATTER:
        logging.getLogger(name).setLevel(quiet)
    for name in _NEVER_DEBUG:
        logging.getLogger(name).setLevel(max(logging.WARNING, quiet))
