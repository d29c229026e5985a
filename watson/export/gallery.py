"""The static gallery: one page that opens from disk, without a server, a network or another file but the pictures.

All text goes through Jinja's escaping, or through its ``tojson`` into the script's data, where the script only ever
uses it as text. A Content-Security-Policy lets nothing run but the page's own script, by its hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from watson.events import JobChanged
from watson.export.html import asset, csp_hash, environment
from watson.export.quarantine import Quarantine

__all__ = ["GalleryPage", "render_gallery", "render_readme"]

_PACKAGE = "watson.export"


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
    script, style = asset(_PACKAGE, "gallery.js"), asset(_PACKAGE, "gallery.css")
    entries = sorted(page.entries, key=lambda entry: (str(entry["name"]).casefold(), str(entry["image"])))
    return (
        environment(_PACKAGE)
        .get_template("gallery.html.j2")
        .render(
            page=page,
            entries=entries,
            script=Markup(script),  # noqa: S704 - our own file, and it must match its hash
            style=Markup(style),  # noqa: S704 - likewise
            script_hash=csp_hash(script),
            style_hash=csp_hash(style),
        )
    )


def render_readme(page: GalleryPage) -> str:
    """The dataset's README.md."""
    return environment(_PACKAGE).get_template("README.md.j2").render(page=page)
