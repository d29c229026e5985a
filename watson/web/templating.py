"""Jinja2 templates, escaped by default, and the filters they use."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
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
        left=_left,
        pace=_pace,
        peak=_peak,
        spark=_spark,
        took=_took,
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
    return f"{_rounded(100 * part)} %"


def _rounded(value: float, step: str = "0.1") -> Decimal:
    """As JavaScript's ``toFixed`` has it, which writes the same numbers when the page is live: halves go up."""
    return Decimal(value).quantize(Decimal(step), ROUND_HALF_UP)


def _when(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float) -> str:
    """3725 → 1 h 2 min."""
    if seconds < 60:
        return f"{_rounded(seconds, '1')} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _capitalize_first(text: str) -> str:
    """The first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def _pace(rate: float | None, unit: str = "images") -> str:
    """12.34 → 12 images/s; a slow one by the minute; – where it is not known."""
    if rate is None:
        return "–"
    if rate >= 10:
        return f"{_rounded(rate, '1'):,} {unit}/s"
    if rate >= 0.1:
        return f"{_rounded(rate)} {unit}/s"
    return f"{_rounded(rate * 60)} {unit}/min" if rate > 0 else f"0 {unit}/s"


def _left(seconds: float | None) -> str:
    """How long something will take yet; – where nobody can know."""
    return "–" if seconds is None else _duration(math.ceil(seconds))


def _took(seconds: float | None) -> str:
    """0.0123 → 12 ms; 4.21 → 4.2 s; – where it is not known."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else _duration(seconds)


def _peak(bars: Sequence[float | None]) -> float:
    return max((bar for bar in bars if bar), default=0.0)


def _spark(bars: Sequence[float | None]) -> str:
    """A path of one bar for each value, each 1 wide, the highest 20 high; nothing where a value is not known."""
    highest = _peak(bars)
    heights = [(place, 20.0 * bar / highest) for place, bar in enumerate(bars) if bar]
    return "".join(f"M{place} 20v-{max(height, 0.8):.1f}h.75V20z" for place, height in heights)


def _path_part(value: object) -> str:
    """Escaped for one component of a path or one value of a query."""
    return quote(str(value), safe="")
