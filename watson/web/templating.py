"""Jinja2 templates, escaped by default, and the filters they use."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from watson import __version__
from watson.export.names import file_name
from watson.snapshots.record import SHORT
from watson.web.palette import colour
from watson.web.visitor import visitor

__all__ = ["STATIC", "page"]

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, **context: object) -> web.Response:
    """Render a page."""
    text = _environment().get_template(template).render(**context)
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-cache"})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(static=_static, code_version=__version__, colour=colour, visitor=visitor)
    environment.filters.update(
        number=_number,
        percent=_percent,
        when=_when,
        duration=_duration,
        file_name=file_name,
        path_part=_path_part,
        short=_short,
        capitalize_first=_capitalize_first,
    )
    return environment


@cache
def _static(name: str) -> str:
    """Address of a static file, with a hash of its content so that browsers keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def _number(value: float) -> str:
    """1234567 → 1,234,567."""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _short(name: str) -> str:
    """A sha256 by its first digits, as snapshots are named; any other name as it is."""
    return name[:SHORT] if re.fullmatch("[0-9a-f]{64}", name) else name


def _percent(part: float) -> str:
    """0.1234 → 12.3 %."""
    return f"{part * 100:.1f} %"


def _when(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float) -> str:
    """3725 → 1 h 2 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _capitalize_first(text: str) -> str:
    """The first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def _path_part(value: object) -> str:
    """Escaped for one component of a path or one value of a query."""
    return quote(str(value), safe="")
