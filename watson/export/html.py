"""What pages that open from disk have in common: escaping templates, inlined files, and hashes that let them run."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["asset", "csp_hash", "environment"]


@cache
def environment(package: str) -> Environment:
    """Jinja for the templates of a package. Everything is escaped in ``.html.j2``."""
    made = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),  # noqa: S701 - Markdown has no HTML escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    made.filters["thousands"] = lambda number: f"{number:,}"
    return made


def asset(package: str, name: str) -> str:
    """A script or style of a package's, to be written into the page."""
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")


def csp_hash(text: str) -> str:
    """What a Content-Security-Policy calls this very script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
