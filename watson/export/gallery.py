"""The static gallery: one page that opens from disk, without a server, a network or another file but the pictures.

All text goes through Jinja's escaping, or through its ``tojson`` into the script's data, where the script only ever
uses it as text. A Content-Security-Policy lets nothing run but the page's own script, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from watson.events import JobChanged
from watson.export.quarantine import Quarantine

__all__ = ["GalleryPage", "render_gallery", "render_readme"]


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """What the page shows.

    Attributes:
        pictures: in the dataset; ``entries`` may hold fewer.
        categories: name → number of masks.
        entries: as `watson.export.pictures` makes them, by image key.
    """

    job: JobChanged
    pictures: int
    masks: int
    categories: Mapping[str, int]
    entries: Sequence[Mapping[str, Any]]
    quarantine: Quarantine


def render_gallery(page: GalleryPage) -> str:
    """The page's HTML."""
    script, style = _asset("gallery.js"), _asset("gallery.css")
    entries = sorted(page.entries, key=lambda entry: (str(entry["name"]).casefold(), str(entry["image"])))
    return (
        _environment()
        .get_template("gallery.html.j2")
        .render(
            page=page,
            entries=entries,
            script=Markup(script),  # noqa: S704 - our own file, and it must match its hash
            style=Markup(style),  # noqa: S704 - likewise
            script_hash=_csp_hash(script),
            style_hash=_csp_hash(style),
        )
    )


def render_readme(page: GalleryPage) -> str:
    """The dataset's README.md."""
    return _environment().get_template("README.md.j2").render(page=page)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("watson.export", "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),  # noqa: S701 - Markdown has no HTML escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def _asset(name: str) -> str:
    return files("watson.export").joinpath("templates", name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
